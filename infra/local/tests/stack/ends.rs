//! How it ends when it is told to, and what it leaves.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
};

use rustix::process::Signal;

use crate::support::{Client, Process, Stack, charge, command, rest, wait_until};

/// A charge whose body, of so many bytes, is asked for and has not been sent.
fn under_way(stack: &Stack, bytes: usize) -> TcpStream {
    let mut stream = stack.connection(&format!(
        "POST /credits/decrease HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {bytes}\r\n\r\n"
    ));
    let mut asked = *b"HTTP/1.1 100 Continue\r\n\r\n";
    stream.read_exact(&mut asked).expect("it asks for the body");
    assert_eq!(asked, *b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn a_signal_lets_what_is_under_way_end_and_keeps_every_charge() {
    let folder = tempfile::tempdir().unwrap();
    Stack::on(folder.path()).client().grant("u", 100);
    for (round, signal) in [(1, Signal::TERM), (2, Signal::INT)] {
        let stack = Stack::on(folder.path());
        let kept = stack.client();
        assert_eq!(kept.balance("u"), 101 - round);
        let (silent, engines) = (stack.connection(""), TcpStream::connect(&stack.engine["http://".len()..]));
        let body = charge("u", 1, &format!("g{round}")).to_string();
        let mut under_way = under_way(&stack, body.len());

        stack.signal(signal);
        wait_until("it listens no more", || TcpStream::connect(&stack.url["http://".len()..]).is_err());
        under_way.write_all(body.as_bytes()).unwrap();
        let answer = rest(under_way);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"replayed\":false"), "{answer}");
        assert_eq!(rest(silent), "");
        assert_eq!(stack.ended(), (Some(0), String::new()), "{signal:?}");
        drop((kept, engines));
    }
    let stack = Stack::on(folder.path());
    assert_eq!((stack.client().balance("u"), stack.client().records("u").len()), (98, 3));
}

#[test]
fn a_signal_ends_it_though_a_request_never_does() {
    let stack = Stack::start(&["--memory"]);
    let half = under_way(&stack, 9);
    stack.signal(Signal::TERM);
    assert_eq!(stack.ended(), (Some(0), String::new()));
    drop(half);
}

#[test]
fn a_signal_right_after_the_first_line_ends_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT].repeat(5) {
        let stack = Stack::start(&["--memory"]);
        stack.signal(signal);
        assert_eq!(stack.ended(), (Some(0), String::new()), "{signal:?}");
    }
}

#[test]
fn it_serves_on_when_nobody_reads_what_it_says() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let _process = Process::saying(command(&["--memory", "--port", &port, "--dynamodb-port", "0"]), writer);
    let client = Client::of(&format!("http://127.0.0.1:{port}"));
    wait_until("it serves", || client.try_send("GET", "/health", &[], b"").is_ok());
    assert_eq!(client.balance("u"), 0);
}
