//! Old data as years of code left it: most users are as they should be, and some have
//! whatever a table without constraints can have. The same seed gives the same data.

use std::io::Cursor;

use futures_util::SinkExt;
use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use scrip::domain::Timestamp;
use scrip_ops::plan::{OldRow, ReferenceOwner};
use tokio_postgres::Client;
use uuid::Builder;

/// The tables, with columns that nobody knows of.
const TABLES: &str = "
    CREATE TABLE credits (
        id bigint, trans_no varchar(255) NOT NULL, created_at timestamptz(6), user_uuid varchar,
        trans_type varchar(50), credits bigint NOT NULL, order_no varchar(255), expired_at timestamp,
        note text, amount numeric, meta jsonb, PRIMARY KEY (id));
    CREATE TABLE orders (id bigserial, order_no varchar(255), user_uuid varchar);
    CREATE TABLE generations (uuid varchar(255), user_uuid varchar, prompt text)";

/// Nothing is made after this, 2026-01-01.
const NOW: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// How many rows a user has at most, but for the largest one.
const ROWS: i64 = 1_000;

/// How many users are written at a time.
const AT_ONCE: usize = 1_000;

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub struct LegacyData {
    /// Of what there is chance.
    pub seed: u64,
    /// How many users there are, some of whom are nobody.
    pub users: u64,
    /// How many rows the first user has.
    pub largest: usize,
}

/// A user of the old tables.
#[derive(Debug, Default)]
pub struct OldUser {
    /// What `credits` has.
    pub rows: Vec<Row>,
    /// What `orders` has: `order_no`, `user_uuid`.
    pub orders: Vec<(String, Option<String>)>,
    /// What `generations` has: `uuid`, `user_uuid`.
    pub generations: Vec<(String, Option<String>)>,
}

/// A row of `credits`.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is to be read of it.
    pub read: OldRow,
    /// How `COPY` has it.
    line: String,
}

impl LegacyData {
    /// All users, each as it comes.
    pub fn users(self) -> impl Iterator<Item = OldUser> {
        (0..self.users).map(move |number| {
            let mut generator = UserGenerator::of(self.seed, number);
            if number == 0 {
                generator.many(self.largest)
            } else {
                generator.some()
            }
            generator.told
        })
    }

    /// Makes the tables and fills them.
    pub async fn load(self, client: &Client) {
        client.batch_execute(TABLES).await.unwrap();
        let mut users = self.users().peekable();
        while users.peek().is_some() {
            let some: Vec<_> = users.by_ref().take(AT_ONCE).collect();
            let rows = some.iter().flat_map(|user| user.rows.iter().rev());
            copy(client, "credits", rows.map(|row| row.line.clone()).collect()).await;
            let orders = some.iter().flat_map(|user| &user.orders).map(pair).collect();
            copy(client, "orders (order_no, user_uuid)", orders).await;
            let generations = some.iter().flat_map(|user| &user.generations).map(pair).collect();
            copy(client, "generations (uuid, user_uuid)", generations).await;
        }
        client.batch_execute("ANALYZE").await.unwrap();
    }
}

async fn copy(client: &Client, table: &str, lines: String) {
    let mut sink = Box::pin(client.copy_in(&format!("COPY {table} FROM STDIN")).await.unwrap());
    sink.send(Cursor::new(lines.into_bytes())).await.unwrap();
    sink.as_mut().finish().await.unwrap();
}

fn pair((key, user): &(String, Option<String>)) -> String {
    format!("{}\t{}\n", text(key), or_null(user.as_deref()))
}

/// A user's life, row by row.
struct UserGenerator {
    rng: TestRng,
    number: u64,
    user: Option<String>,
    /// When the last row was made.
    at: i64,
    packs: Vec<Pack>,
    told: OldUser,
}

/// What was granted, and what is left of it.
#[derive(Clone, Debug)]
struct Pack {
    order_no: String,
    ends: Option<i64>,
    left: i64,
}

/// What the code of a time wrote into a charge's `order_no`.
#[derive(Clone, Copy)]
enum Style {
    Generation,
    OrderOfPack,
    Nothing,
    Null,
}

const STYLES: [Style; 6] = [
    Style::Generation,
    Style::Generation,
    Style::Generation,
    Style::OrderOfPack,
    Style::Nothing,
    Style::Null,
];
const CHARGES: [&str; 4] = ["anime_generation", "image_generation", "video_generation", "chat"];

/// An `order_no`, and where it is found: among orders, among generations.
type Reference = (Option<String>, ReferenceOwner, ReferenceOwner);

const NONE: Reference = (None, ReferenceOwner::Missing, ReferenceOwner::Missing);

impl UserGenerator {
    fn of(seed: u64, number: u64) -> UserGenerator {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let at = NOW - 700 * DAY + i64::from(rng.next_u32() % 400) * DAY;
        let mut generator =
            UserGenerator { rng, number, user: None, at, packs: vec![], told: OldUser::default() };
        generator.user = generator.named();
        // Whose it is, everybody can refer to; some stand there twice.
        for _ in 0..=generator.below(3) / 2 {
            generator.told.orders.push((order(number, 0), generator.user.clone()));
            generator.told.generations.push((format!("gen-{number}-0"), generator.user.clone()));
        }
        generator
    }

    /// A user who lives long.
    fn many(&mut self, rows: usize) {
        self.user = Some("many".to_owned());
        self.grant("order_pay", 1_000_000_000, None);
        self.at = NOW - 500 * DAY;
        while self.told.rows.len() < rows {
            self.charge(Style::Generation, 1);
        }
    }

    fn some(&mut self) {
        self.grant("new_user", 10, None);
        for _ in 0..=self.below(8) {
            self.ordinary();
        }
        if self.below(4) == 0 && !self.is_nobody() {
            self.odd();
            self.ordinary();
        }
    }

    fn ordinary(&mut self) {
        if self.is_nobody() {
            return self.row("chat", -1, NONE, None);
        }
        match self.below(10) {
            0..3 => {
                let (credits, days) = (10 * (1 + self.below(10)), 20 + self.below(400));
                let ends = [None, Some(self.at + days * DAY + 86_399_999)][usize::from(self.below(5) > 0)];
                self.grant("order_pay", credits, ends);
            }
            3 => self.grant("system_add", 5, None),
            4 => self.refunded(1),
            // May take the rest of one pack and some of the next.
            5 => {
                let style = self.style();
                let rest = self.live().next().map_or(0, |pack| pack.left);
                self.charge(style, rest + 1);
            }
            _ => {
                let (style, credits) = (self.style(), 1 + self.below(6));
                self.charge(style, credits);
            }
        }
    }

    fn odd(&mut self) {
        let of_before = |kind: &str, generator: &UserGenerator| format!("{kind}-{}-0", generator.number - 1);
        match self.below(16) {
            // The webhook came twice.
            0 => {
                let again = self.told.rows.iter().rfind(|row| row.read.trans_type == "order_pay").cloned();
                if let Some(Row { read, .. }) = again {
                    let ends = read.expired_at.map(Timestamp::millis);
                    self.row(
                        "order_pay",
                        read.credits,
                        (read.order_no, ReferenceOwner::SameUser, ReferenceOwner::Missing),
                        ends,
                    );
                }
            }
            // Two charges at once, each of all that there was.
            1 => {
                let all = self.live().map(|pack| pack.left).sum::<i64>() + 1;
                for _ in 0..2 {
                    let (ends, of) = (self.live().last().and_then(|pack| pack.ends), self.generation());
                    self.row("anime_generation", -all, of, ends);
                }
            }
            2 => self.refunded(2),
            // A refund of what was not charged.
            3 => {
                let of = self.generation();
                self.row("image_generation_refund", 3, of, None);
            }
            4 => self.row("admin_gift", 7, NONE, None),
            5 => self.row("", 7, NONE, None),
            6 => self.row(
                "chat",
                -1,
                (Some("no id: #/ü".to_owned()), ReferenceOwner::Missing, ReferenceOwner::Missing),
                None,
            ),
            7 => self.row(
                "chat",
                -1,
                (Some(of_before("gen", self)), ReferenceOwner::Missing, ReferenceOwner::OtherUser),
                None,
            ),
            8 => self.row(
                "order_pay",
                5,
                (Some(of_before("order", self)), ReferenceOwner::OtherUser, ReferenceOwner::Missing),
                None,
            ),
            9 => self.row("order_pay", 5, (None, ReferenceOwner::Missing, ReferenceOwner::Missing), None),
            10 => self.row(
                "chat",
                0,
                (Some(String::new()), ReferenceOwner::Missing, ReferenceOwner::Missing),
                None,
            ),
            11 => self.row("order_pay", i64::MAX, NONE, None),
            12 => self.row("chat", 4, NONE, None),
            // Both an order and a generation.
            13 => {
                let both = format!("both-{}", self.number);
                self.told.orders.push((both.clone(), self.user.clone()));
                self.told.generations.push((both.clone(), self.user.clone()));
                self.row("chat", -1, (Some(both), ReferenceOwner::SameUser, ReferenceOwner::SameUser), None);
            }
            // Another's too: own wins.
            14 => {
                let shared = format!("shared-{}", self.number);
                for user in [Some("somebody".to_owned()), self.user.clone(), None] {
                    self.told.orders.push((shared.clone(), user));
                }
                self.row(
                    "order_pay",
                    5,
                    (Some(shared), ReferenceOwner::SameUser, ReferenceOwner::Missing),
                    None,
                );
            }
            _ => self.out_of_time(),
        }
    }

    /// Times that are none of ours.
    fn out_of_time(&mut self) {
        let (first, last) = (Some("0000-01-01T00:00:00Z"), Some("9999-12-31T23:59:59.999Z"));
        for (written, end) in [
            ("infinity", None),
            ("-infinity", first),
            ("10000-01-01 00:00:00", last),
            ("4000-01-01 00:00:00 BC", first),
            ("2030-01-01 00:00:00.123999", Some("2030-01-01T00:00:00.123Z")),
            ("1969-12-31 23:59:59.999999", Some("1969-12-31T23:59:59.999Z")),
        ] {
            self.row("system_add", 1, NONE, None);
            let row = self.told.rows.last_mut().unwrap();
            row.read.expired_at = end.and_then(Timestamp::parse);
            let mut fields: Vec<_> = row.line.split('\t').collect();
            fields[7] = written;
            row.line = fields.join("\t");
        }
    }

    fn grant(&mut self, trans_type: &str, credits: i64, ends: Option<i64>) {
        let of = if trans_type == "order_pay" { self.order() } else { NONE };
        self.packs.push(Pack { order_no: of.0.clone().unwrap_or_default(), ends, left: credits });
        self.packs.sort_by_key(|pack| pack.ends.unwrap_or(i64::MAX));
        self.row(trans_type, credits, of, ends);
    }

    /// A charge as the old code made it: one row, with the end of the last pack. Nothing
    /// where there is not enough.
    fn charge(&mut self, style: Style, credits: i64) {
        if self.live().map(|pack| pack.left).sum::<i64>() < credits {
            return;
        }
        let (mut to_take, mut last, at) = (credits, None, self.at);
        for pack in self.packs.iter_mut().filter(|pack| pack.is_live(at)) {
            let taken = to_take.min(pack.left);
            pack.left -= taken;
            to_take -= taken;
            last = Some(pack.clone());
            if to_take == 0 {
                break;
            }
        }
        let last = last.expect("a pack, where there is enough");
        let of = match style {
            Style::Generation => self.generation(),
            Style::OrderOfPack if last.order_no.is_empty() => NONE,
            Style::OrderOfPack => (Some(last.order_no), ReferenceOwner::SameUser, ReferenceOwner::Missing),
            Style::Nothing => (Some(String::new()), ReferenceOwner::Missing, ReferenceOwner::Missing),
            Style::Null => NONE,
        };
        let trans_type = CHARGES[self.chosen(CHARGES.len())];
        self.row(trans_type, -credits, of, last.ends);
    }

    /// A charge and its refunds.
    fn refunded(&mut self, times: usize) {
        let before = self.told.rows.len();
        self.charge(Style::Generation, 2);
        let Some(Row { read, .. }) = self.told.rows.get(before).cloned() else { return };
        for _ in 0..times {
            let (of, ends) =
                ((read.order_no.clone(), read.order_owner, read.generation_owner), read.expired_at);
            let ends = ends.map(Timestamp::millis);
            self.packs.push(Pack { order_no: String::new(), ends, left: 2 });
            self.row(&format!("{}_refund", read.trans_type), 2, of, ends);
        }
        self.packs.sort_by_key(|pack| pack.ends.unwrap_or(i64::MAX));
    }

    fn row(&mut self, trans_type: &str, credits: i64, of: Reference, ends: Option<i64>) {
        let step = if self.number == 0 { MINUTE / 10 } else { self.below(20 * 60) * MINUTE };
        self.at = (self.at + step).min(NOW - MINUTE);
        let (order_no, order_owner, generation_owner) = of;
        let workspace = i64::try_from(self.told.rows.len()).unwrap();
        let read = OldRow {
            // The first user's come after all others'.
            id: self.number.checked_sub(1).map_or(i64::MAX / 2, |number| number.cast_signed() * ROWS)
                + workspace,
            trans_no: uuid(&mut self.rng),
            created_at: Timestamp::from_millis(self.at).unwrap(),
            user_uuid: self.user.clone().unwrap_or_default(),
            trans_type: trans_type.to_owned(),
            credits,
            order_no,
            expired_at: ends.and_then(Timestamp::from_millis),
            order_owner,
            generation_owner,
        };
        let line = self.line(&read);
        self.told.rows.push(Row { read, line });
    }

    /// A row as `COPY` has it, with what the old code wrote and nobody reads.
    fn line(&mut self, row: &OldRow) -> String {
        let (micros, amount) = (self.below(1_000), self.rng.next_u64());
        let written = |at: Timestamp| at.to_string().trim_end_matches('Z').to_owned();
        // An empty type may have been none.
        let trans_type = Some(row.trans_type.as_str()).filter(|text| !text.is_empty());
        let fields = [
            row.id.to_string(),
            text(&row.trans_no),
            format!("{}{micros:03}+00", written(row.created_at)),
            or_null(self.user.as_deref()),
            or_null(trans_type),
            row.credits.to_string(),
            or_null(row.order_no.as_deref()),
            row.expired_at.map_or_else(|| "\\N".to_owned(), |at| format!("{}{micros:03}", written(at))),
            text("\"a\"\\ 'b'\té\n🎨"),
            format!("{amount}.0{amount:020}"),
            text(&format!(r#"{{"b": [1.10, null], "a": {amount}}}"#)),
        ];
        format!("{}\n", fields.join("\t"))
    }

    fn named(&mut self) -> Option<String> {
        let number = self.number;
        match self.below(100) {
            0 => None,
            1 => Some(String::new()),
            2 => Some(format!("user {number}#1")),
            3 => Some(format!("Ünal-{number}\t\\")),
            4 => Some(format!("{number}{}", "x".repeat(300))),
            5 => Some(format!("b{number}")),
            6 => Some(format!("B{number}")),
            7 => Some(format!("a_{number}")),
            _ => Some(uuid(&mut self.rng)),
        }
    }

    fn is_nobody(&self) -> bool {
        self.user.as_deref().is_none_or(str::is_empty)
    }

    /// A new order.
    fn order(&mut self) -> Reference {
        let order_no = order(self.number, 1 + self.told.orders.len());
        self.told.orders.push((order_no.clone(), self.user.clone()));
        (Some(order_no), ReferenceOwner::SameUser, ReferenceOwner::Missing)
    }

    /// A new generation.
    fn generation(&mut self) -> Reference {
        let generation = uuid(&mut self.rng);
        self.told.generations.push((generation.clone(), self.user.clone()));
        (Some(generation), ReferenceOwner::Missing, ReferenceOwner::SameUser)
    }

    fn live(&self) -> impl Iterator<Item = &Pack> {
        self.packs.iter().filter(|pack| pack.is_live(self.at))
    }

    fn style(&mut self) -> Style {
        STYLES[self.chosen(STYLES.len())]
    }

    fn chosen(&mut self, of: usize) -> usize {
        usize::try_from(self.rng.next_u64()).unwrap() % of
    }

    fn below(&mut self, end: i64) -> i64 {
        i64::from(self.rng.next_u32()) % end
    }
}

impl Pack {
    fn is_live(&self, at: i64) -> bool {
        // What is made later is made at most a day later.
        self.left > 0 && self.ends.is_none_or(|end| at + DAY < end)
    }
}

fn order(user: u64, number: usize) -> String {
    format!("order-{user}-{number}")
}

fn uuid(rng: &mut TestRng) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn or_null(value: Option<&str>) -> String {
    value.map_or_else(|| "\\N".to_owned(), text)
}

/// A text as `COPY` has it.
fn text(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}
