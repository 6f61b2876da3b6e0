//! Converts errors of PostgreSQL and the connection to one line that says what to do. No
//! line contains the URL or a part of it that may belong to the password.

use std::{error, io};

use tokio_postgres::{
    Config, Error,
    config::Host,
    error::{DbError, SqlState},
};

use crate::cli_error::CliError;

/// The URL cannot be parsed.
pub(super) fn invalid_url() -> CliError {
    CliError(
        "the URL of the old database must be postgresql://USER:PASSWORD@HOST:5432/DATABASE, optionally with \
         ?sslmode=disable, prefer or require; in its parts, write @ : / ? # % as %40 and so on"
            .to_owned(),
    )
}

/// The connection failed.
pub(super) fn connect_error(config: &Config, error: &Error) -> CliError {
    if let Some(db_error) = error.as_db_error() {
        return login_error(config, db_error);
    }
    let (address, cause) = (server_address(config), cause(error));
    let is_tls = error.to_string().contains("TLS");
    CliError(match cause.as_str() {
        "password missing" => format!("the server at {address} requires a password, and the URL has none"),
        _ if is_tls => format!(
            "TLS with the server at {address} failed: {cause}; in the URL, sslrootcert=FILE adds trusted roots, \
             which RDS needs, and sslmode=disable turns TLS off"
        ),
        _ => format!("no PostgreSQL server responds at {address}: {cause}; check the URL and the network"),
    })
}

fn login_error(config: &Config, db_error: &DbError) -> CliError {
    let user = config.get_user().unwrap_or_default();
    let code = db_error.code();
    CliError(if *code == SqlState::INVALID_PASSWORD {
        format!("the server rejects the password of user {user:?}; check the URL")
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        let database = config.get_dbname().unwrap_or(user);
        format!("the server has no database {database:?}; check the URL")
    } else {
        format!("the server rejects the login of user {user:?}: {}", one_line(db_error.message()))
    })
}

/// `subject`, such as a table, cannot be read.
pub(crate) fn read_error(subject: &str, error: &Error) -> CliError {
    if is_lost(error) {
        return connection_lost();
    }
    let Some(db_error) = error.as_db_error() else {
        return CliError(format!("cannot read {subject}: {}", cause(error)));
    };
    let (code, message) = (db_error.code(), one_line(db_error.message()));
    match code.code() {
        "42501" => CliError(format!(
            "the user of the URL may not read {subject}: {message}; it needs SELECT on all three tables, and no row \
             security"
        )),
        "72000" | "40001" => CliError(format!(
            "the server dropped rows of the snapshot ({message}); run again on a server that keeps old row versions longer"
        )),
        code => CliError(format!("the old database cannot read {subject}: {message} ({code})")),
    }
}

/// `subject`, such as a table, cannot be written.
pub(crate) fn write_error(subject: &str, error: &Error) -> CliError {
    if is_lost(error) {
        return connection_lost();
    }
    let Some(db_error) = error.as_db_error() else {
        return CliError(format!("cannot write {subject}: {}", cause(error)));
    };
    let (code, message) = (db_error.code(), one_line(db_error.message()));
    match code.code() {
        "42501" => CliError(format!(
            "the user of the URL may not write {subject}: {message}; it needs SELECT and INSERT on credits, SELECT and \
             UPDATE on the sequence of its ids, CREATE on its schema, and no row security"
        )),
        code => {
            CliError(format!("the old database rejects {subject}: {message} ({code}); nothing was changed"))
        }
    }
}

fn connection_lost() -> CliError {
    CliError("the connection to the old database was lost; run again".to_owned())
}

fn is_lost(error: &Error) -> bool {
    match error.as_db_error() {
        Some(db_error) => matches!(db_error.code().code(), "57P01" | "57P02" | "57P03" | "08006"),
        None => error.is_closed() || error::Error::source(error).is_some_and(|cause| cause.is::<io::Error>()),
    }
}

fn server_address(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => format!("{host}:{port}"),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "no host".to_owned(),
    }
}

/// The source of an error, without its wrapper.
fn cause(error: &Error) -> String {
    error::Error::source(error)
        .map_or_else(|| one_line(&error.to_string()), |cause| one_line(&cause.to_string()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
