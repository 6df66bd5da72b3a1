// SPDX-License-Identifier: Apache-2.0
//! A test actor that does what the text of a request says by Rust's standard library alone, which
//! stands on WASI. An error is answered as the name of its `ErrorKind`.
//!
//!   print TEXT | complain TEXT                 a line on stdout, on stderr
//!   env NAME | vars | args | stdin
//!   clock | nap MS                             seconds since 1970; whether it took as long
//!   count WORDS…                               a HashMap, whose keys are hashed with random numbers
//!   write PATH TEXT | append PATH TEXT | fresh PATH TEXT | read PATH | lines PATH | at PATH N
//!   list PATH | folder PATH | folders PATH | remove PATH | remove-all PATH
//!   rename FROM TO | copy FROM TO | about PATH | cut PATH N | age PATH | far PATH
//!   thread | connect ADDRESS | exit N | panic TEXT
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, process, thread};

use theater::{actor, Answer, State};

fn invalid<E>(_: E) -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(invalid)
}

/// The words and how often each comes, in the order of the words.
fn count(text: &str) -> String {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let mut pairs: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{word}={n}"))
        .collect();
    pairs.sort();
    pairs.join(" ")
}

fn list(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let mark = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{mark}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names.join(" "))
}

fn lines(path: &str) -> io::Result<String> {
    let mut longest = 0;
    let mut count = 0;
    for line in BufReader::new(File::open(path)?).lines() {
        longest = longest.max(line?.chars().count());
        count += 1;
    }
    Ok(format!("{count} lines, {longest} characters at most"))
}

fn at(path: &str, offset: &str) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(number(offset)?))?;
    let mut text = String::new();
    file.take(8).read_to_string(&mut text)?;
    Ok(text)
}

fn put(options: &mut OpenOptions, path: &str, text: &str) -> io::Result<String> {
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(format!("{} bytes", file.metadata()?.len()))
}

/// Two writes where no file system has room: the first fails, and with it the stream beneath. Gives
/// the numbers of the errors, which are those of WASI preview 1.
fn far(path: &str) -> io::Result<String> {
    let mut file = File::create(path)?;
    file.seek(SeekFrom::Start(i64::MAX as u64))?;
    let mut code = || file.write(b"x").map_err(|error| error.raw_os_error());
    Ok(format!("{:?} {:?}", code(), code()))
}

fn about(path: &str) -> io::Result<String> {
    let found = fs::metadata(path)?;
    let kind = if found.is_dir() { "folder" } else { "file" };
    Ok(format!(
        "{kind} of {}",
        if found.is_dir() { 0 } else { found.len() }
    ))
}

/// Whether a file was changed within the last minute, by its time and the clock.
fn age(path: &str) -> io::Result<String> {
    let changed = fs::metadata(path)?.modified()?;
    let age = SystemTime::now()
        .duration_since(changed)
        .unwrap_or_default();
    Ok((age < Duration::from_secs(60)).to_string())
}

fn nap(ms: &str) -> io::Result<String> {
    let start = Instant::now();
    let wait = Duration::from_millis(number(ms)?);
    thread::sleep(wait);
    Ok((start.elapsed() >= wait).to_string())
}

fn clock() -> io::Result<String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(invalid)?;
    Ok(now.as_secs().to_string())
}

fn done(result: io::Result<()>) -> io::Result<String> {
    result.map(|()| "done".to_string())
}

/// What is asked about files and folders.
fn on_files(verb: &str, path: &str, rest: &str) -> io::Result<String> {
    match verb {
        "write" => put(
            OpenOptions::new().write(true).create(true).truncate(true),
            path,
            rest,
        ),
        "append" => put(OpenOptions::new().append(true).create(true), path, rest),
        "fresh" => put(OpenOptions::new().write(true).create_new(true), path, rest),
        "read" => fs::read_to_string(path),
        "lines" => lines(path),
        "at" => at(path, rest),
        "list" => list(path),
        "folder" => done(fs::create_dir(path)),
        "folders" => done(fs::create_dir_all(path)),
        "remove" => done(fs::remove_file(path)),
        "remove-all" => done(fs::remove_dir_all(path)),
        "rename" => done(fs::rename(path, rest)),
        "copy" => fs::copy(path, rest).map(|size| format!("{size} bytes")),
        "about" => about(path),
        "age" => age(path),
        "cut" => done(
            OpenOptions::new()
                .write(true)
                .open(path)?
                .set_len(number(rest)?),
        ),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn perform(order: &str) -> io::Result<String> {
    let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "print" => {
            println!("{rest}");
            Ok(String::new())
        }
        "complain" => {
            eprintln!("{rest}");
            Ok(String::new())
        }
        "env" => env::var(rest).map_err(|_| io::ErrorKind::NotFound.into()),
        "vars" => {
            let mut vars: Vec<String> = env::vars()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            vars.sort();
            Ok(vars.join(" "))
        }
        "args" => Ok(env::args().count().to_string()),
        "stdin" => {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .map(|size| size.to_string())
        }
        "clock" => clock(),
        "nap" => nap(rest),
        "count" => Ok(count(rest)),
        "far" => far(rest),
        "thread" => thread::Builder::new()
            .spawn(|| ())
            .map(|_| "runs".to_string()),
        "connect" => std::net::TcpStream::connect(rest).map(|_| "connected".to_string()),
        "exit" => process::exit(number(rest)? as i32),
        "panic" => panic!("{}", rest),
        _ => on_files(verb, first, second),
    }
}

fn on_init(state: State, _own_id: String) -> Result<State, String> {
    Ok(state)
}

fn on_request(state: State, _id: String, message: Vec<u8>) -> Answer<Option<Vec<u8>>> {
    let answer = match perform(&String::from_utf8_lossy(&message)) {
        Ok(text) => text,
        Err(error) => format!("error {:?}", error.kind()),
    };
    Ok((state, Some(answer.into_bytes())))
}

actor! {
    init: on_init,
    handle_request: on_request,
}
