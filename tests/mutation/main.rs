//! Whether the tests can fail: a copy of the code contains faults that are switched on one at
//! a time. The simulation has to find each fault of the ledger within so many seeds, and an
//! integration test each fault of call-backs, which the simulation does not send.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]
#![allow(unreachable_pub, reason = "modules of one test binary")]

mod mutations;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use mutations::{MUTATIONS, TESTED_MUTATIONS};

/// What the copy has beside the faults.
const SWITCH: &str = r#"
mod mutation {
    pub(crate) fn is_active(name: &str) -> bool {
        static ACTIVE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        ACTIVE.get_or_init(|| std::env::var("SCRIP_ACTIVE_MUTATION").ok()).as_deref() == Some(name)
    }
}
"#;

/// How many seeds have to find nothing while no fault is switched on.
const SOUND_SEEDS: u32 = 300;

#[test]
#[ignore = "builds a copy of the ledger and runs thousands of seeds, which takes minutes"]
fn every_mutation_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let copy = root.join("target/mutations");
    copy_sources(root, &copy, &edited_files(root));
    assert_eq!(found_after(root, &copy, "", SOUND_SEEDS), None, "no fault is switched on");
    assert!(TESTED_MUTATIONS.iter().all(|mutation| passes(root, &copy, "", mutation.4)));
    let only = env::var("SCRIP_MUTATION").unwrap_or_default();
    let mut survivors = Vec::new();
    for (name, .., test) in TESTED_MUTATIONS.into_iter().filter(|mutation| mutation.0.contains(&only)) {
        if passes(root, &copy, name, test) {
            survivors.push(name);
        } else {
            eprintln!("{name}: found by {test}");
        }
    }
    let mut mutations = MUTATIONS.to_vec();
    mutations.dedup_by_key(|mutation| mutation.0);
    for (name, .., seeds) in mutations.into_iter().filter(|mutation| mutation.0.contains(&only)) {
        let began = Instant::now();
        match found_after(root, &copy, name, seeds) {
            Some(seed) => eprintln!("{name}: found by seed {seed}, {} s", began.elapsed().as_secs()),
            None => survivors.push(name),
        }
    }
    assert_eq!(survivors, [""; 0], "not found");
}

/// The files that differ in the copy, by their paths.
fn edited_files(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut edit = |file: &str, from: &str, to: &str| {
        let text = files.entry(file.into()).or_insert_with(|| fs::read_to_string(root.join(file)).unwrap());
        assert_eq!(text.matches(from).count(), 1, "{file} has changed: {from}");
        *text = text.replace(from, to);
    };
    // Of another version, so that nothing built of the copy is taken for the real.
    let version = format!("version = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    edit("Cargo.toml", &version, "version = \"0.0.0\"\n");
    let of_ledger = MUTATIONS.iter().map(|(name, file, from, to, _)| (name, file, from, to));
    let of_tests = TESTED_MUTATIONS.iter().map(|(name, file, from, to, _)| (name, file, from, to));
    for (name, file, from, to) in of_ledger.chain(of_tests) {
        edit(file, from, &to.replace("MUTATED", &format!("crate::mutation::is_active({name:?})")));
    }
    let library = "shared/src/lib.rs";
    files.insert(library.into(), fs::read_to_string(root.join(library)).unwrap() + SWITCH);
    files
}

/// Which seed finds the fault, if one of the first does.
fn found_after(root: &Path, copy: &Path, name: &str, seeds: u32) -> Option<String> {
    let mut command = test_command(root, copy, name, "simulation", "seeds_pass_every_check");
    command.env("SCRIP_SEEDS", seeds.to_string()).env("SCRIP_SHRINKS", "0");
    let (passes, text) = run_one_test(command);
    let found =
        text.lines().find_map(|line| line.strip_prefix("seed ")?.split(':').next().map(str::to_owned));
    assert_eq!(found.is_some(), !passes, "{text}");
    found
}

/// Whether an integration test passes with the fault.
fn passes(root: &Path, copy: &Path, name: &str, test: &str) -> bool {
    run_one_test(test_command(root, copy, name, "integration", test)).0
}

fn test_command(root: &Path, copy: &Path, name: &str, target: &str, test: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["test", "--quiet", "--offline", "--workspace", "--test", target, test])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env("SCRIP_ACTIVE_MUTATION", name);
    command
}

/// Whether the test passes, and its output.
fn run_one_test(mut command: Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(text.contains("running 1 test"), "it does not build: {text}");
    (output.status.success(), text)
}

/// Makes the copy the same as all that is built, but for the edited files. What is
/// the same already is left alone, and is not built again.
fn copy_sources(root: &Path, copy: &Path, edited: &BTreeMap<PathBuf, String>) {
    let mut left =
        ["Cargo.toml", "Cargo.lock", "clippy.toml", "shared", "functions", "infra", "tests", "benches"]
            .map(PathBuf::from)
            .to_vec();
    while let Some(path) = left.pop() {
        let (from, to) = (root.join(&path), copy.join(&path));
        if path.ends_with("target") {
            continue;
        }
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            for gone in entries(&to).into_iter().filter(|name| !from.join(name).exists()) {
                let gone = to.join(gone);
                if gone.is_dir() { fs::remove_dir_all(gone) } else { fs::remove_file(gone) }.unwrap();
            }
            left.extend(entries(&from).into_iter().map(|name| path.join(name)));
        } else {
            let content =
                edited.get(&path).map_or_else(|| fs::read(&from).unwrap(), |text| text.clone().into_bytes());
            if fs::read(&to).ok().as_ref() != Some(&content) {
                fs::write(&to, content).unwrap();
            }
        }
    }
}

fn entries(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}
