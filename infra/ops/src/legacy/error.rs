//! What PostgreSQL and the way to it can refuse, as lines that say what to do. None
//! has the URL in it, or a piece of it that could be of a password.

use std::{error, io};

use tokio_postgres::{
    Config, Error,
    config::Host,
    error::{DbError, SqlState},
};

use crate::cli_error::CliError;

/// The URL cannot be read.
pub(super) fn invalid_url() -> CliError {
    CliError(
        "the URL of the old database must be postgresql://USER:PASSWORD@HOST:5432/DATABASE, at its end perhaps \
         ?sslmode=disable, prefer or require; in its parts each of @ : / ? # % is written as %40 and so on"
            .to_owned(),
    )
}

/// There is no connection.
pub(super) fn connect_error(config: &Config, error: &Error) -> CliError {
    if let Some(refusal) = error.as_db_error() {
        return login_error(config, refusal);
    }
    let (place, cause) = (place(config), cause(error));
    let is_tls = error.to_string().contains("TLS");
    CliError(match cause.as_str() {
        "password missing" => format!("the server at {place} asks for a password, and the URL has none"),
        _ if is_tls => format!(
            "no TLS with the server at {place}: {cause}; in the URL, sslrootcert=FILE names roots to trust besides \
             the machine's, as RDS has its own, and sslmode=disable does without TLS"
        ),
        _ => format!("no PostgreSQL server answers at {place}: {cause}; check the URL and the network"),
    })
}

fn login_error(config: &Config, refusal: &DbError) -> CliError {
    let user = config.get_user().unwrap_or_default();
    let code = refusal.code();
    CliError(if *code == SqlState::INVALID_PASSWORD {
        format!("the server refuses the password of user {user:?}: check the URL")
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        let database = config.get_dbname().unwrap_or(user);
        format!("the server has no database {database:?}: check the URL")
    } else {
        format!("the server does not let user {user:?} in: {}", line(refusal.message()))
    })
}

/// Something could not be read on the connection.
pub(crate) fn read_error(what: &str, error: &Error) -> CliError {
    if is_lost(error) {
        return connection_lost();
    }
    let Some(refusal) = error.as_db_error() else {
        return CliError(format!("cannot read {what}: {}", cause(error)));
    };
    let (code, message) = (refusal.code(), line(refusal.message()));
    match code.code() {
        "42501" => CliError(format!(
            "the user of the URL may not read {what}: {message}; it needs SELECT on all three tables, and no row \
             security"
        )),
        "72000" | "40001" => CliError(format!(
            "the server dropped what the snapshot needs ({message}): start again, on a server that keeps it for longer"
        )),
        code => CliError(format!("the old database cannot give {what}: {message} ({code})")),
    }
}

/// Something could not go back into the old database.
pub(crate) fn write_error(what: &str, error: &Error) -> CliError {
    if is_lost(error) {
        return connection_lost();
    }
    let Some(refusal) = error.as_db_error() else {
        return CliError(format!("cannot write {what}: {}", cause(error)));
    };
    let (code, message) = (refusal.code(), line(refusal.message()));
    match code.code() {
        "42501" => CliError(format!(
            "the user of the URL may not write {what}: {message}; it needs SELECT and INSERT on credits, SELECT and \
             UPDATE on the sequence of its ids, CREATE on its schema, and no row security"
        )),
        code => {
            CliError(format!("the old database does not take {what}: {message} ({code}); nothing is changed"))
        }
    }
}

fn connection_lost() -> CliError {
    CliError("the connection to the old database was lost: start again".to_owned())
}

fn is_lost(error: &Error) -> bool {
    match error.as_db_error() {
        Some(refusal) => matches!(refusal.code().code(), "57P01" | "57P02" | "57P03" | "08006"),
        None => error.is_closed() || error::Error::source(error).is_some_and(|cause| cause.is::<io::Error>()),
    }
}

/// Where the server was looked for.
fn place(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => format!("{host}:{port}"),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "no host".to_owned(),
    }
}

/// What is behind an error, without what is only around it.
fn cause(error: &Error) -> String {
    error::Error::source(error).map_or_else(|| line(&error.to_string()), |cause| line(&cause.to_string()))
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
