//! Shutdown by a signal.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
};

use rustix::process::Signal;

use crate::support::{Client, Process, Stack, charge, command, rest, wait_until};

/// A charge whose head is sent, and whose body of `bytes` bytes is not.
fn pending_charge(stack: &Stack, bytes: usize) -> TcpStream {
    let mut stream = stack.connection(&format!(
        "POST /credits/decrease HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {bytes}\r\n\r\n"
    ));
    let mut interim = *b"HTTP/1.1 100 Continue\r\n\r\n";
    stream.read_exact(&mut interim).expect("an interim response");
    assert_eq!(interim, *b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn shutdown_completes_pending_requests_and_keeps_every_charge() {
    let folder = tempfile::tempdir().unwrap();
    Stack::on(folder.path()).client().grant("u", 100);
    for (round, signal) in [(1, Signal::TERM), (2, Signal::INT)] {
        let stack = Stack::on(folder.path());
        let connected = stack.client();
        assert_eq!(connected.balance("u"), 101 - round);
        let (silent, engines) = (stack.connection(""), TcpStream::connect(&stack.engine["http://".len()..]));
        let body = charge("u", 1, &format!("g{round}")).to_string();
        let mut pending = pending_charge(&stack, body.len());

        stack.signal(signal);
        wait_until("the port is closed", || TcpStream::connect(&stack.url["http://".len()..]).is_err());
        pending.write_all(body.as_bytes()).unwrap();
        let answer = rest(pending);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"replayed\":false"), "{answer}");
        assert_eq!(rest(silent), "");
        assert_eq!(stack.wait_for_exit(), (Some(0), String::new()), "{signal:?}");
        drop((connected, engines));
    }
    let stack = Stack::on(folder.path());
    assert_eq!((stack.client().balance("u"), stack.client().records("u").len()), (98, 3));
}

#[test]
fn shutdown_does_not_wait_for_a_stalled_request() {
    let stack = Stack::start(&["--memory"]);
    let stalled = pending_charge(&stack, 9);
    stack.signal(Signal::TERM);
    assert_eq!(stack.wait_for_exit(), (Some(0), String::new()));
    drop(stalled);
}

#[test]
fn shutdown_right_after_the_first_line_is_clean() {
    for signal in [Signal::TERM, Signal::INT].repeat(5) {
        let stack = Stack::start(&["--memory"]);
        stack.signal(signal);
        assert_eq!(stack.wait_for_exit(), (Some(0), String::new()), "{signal:?}");
    }
}

#[test]
fn stack_serves_after_its_output_is_closed() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let _process =
        Process::with_stdout(command(&["--memory", "--port", &port, "--dynamodb-port", "0"]), writer);
    let client = Client::of(&format!("http://127.0.0.1:{port}"));
    wait_until("the API is served", || client.try_send("GET", "/health", &[], b"").is_ok());
    assert_eq!(client.balance("u"), 0);
}
