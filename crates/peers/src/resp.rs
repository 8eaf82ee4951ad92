//! The protocol of Redis (RESP2): a command is an array of byte strings, a reply is told apart by its first
//! byte.

use std::io::{self, BufRead, Read};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    Array(Vec<Reply>),
}

/// The most bytes of a reply: no valid answer here is longer.
const LENGTH_MAX: i64 = 1 << 20;

/// Appends a command.
pub(crate) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads one reply of a server that we started.
pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Reply> {
    let line = line(from)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| wrong("an empty line"))?;
    match kind {
        "+" => Ok(Reply::Simple(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => number(rest).map(Reply::Integer),
        "$" => match length(rest)? {
            None => Ok(Reply::Bulk(None)),
            Some(length) => {
                let mut bytes = vec![0; length + 2];
                from.read_exact(&mut bytes)?;
                if !bytes.ends_with(b"\r\n") {
                    return Err(wrong("a string that is longer than it says"));
                }
                bytes.truncate(length);
                Ok(Reply::Bulk(Some(bytes)))
            }
        },
        "*" => {
            let length = length(rest)?.unwrap_or(0);
            (0..length).map(|_| read(from)).collect::<io::Result<_>>().map(Reply::Array)
        }
        _ => Err(wrong("a reply of an unknown kind")),
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(LENGTH_MAX as u64).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = bytes.strip_suffix(b"\r\n").ok_or_else(|| wrong("a line without an end"))?;
    String::from_utf8(line.to_vec()).map_err(|_| wrong("a line that is not UTF-8"))
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| wrong("these bytes are not a number"))
}

/// Reads a length; `None` for an absent value.
fn length(text: &str) -> io::Result<Option<usize>> {
    match number(text)? {
        -1 => Ok(None),
        length @ 0..=LENGTH_MAX => Ok(Some(length as usize)),
        _ => Err(wrong("a length out of range")),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> io::Result<Reply> {
        let mut rest = bytes;
        let reply = read(&mut rest)?;
        assert!(rest.is_empty(), "all of it was read");
        Ok(reply)
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        assert_eq!(parse(b"+OK\r\n").unwrap(), Reply::Simple("OK".into()));
        assert_eq!(parse(b"-ERR no\r\n").unwrap(), Reply::Error("ERR no".into()));
        assert_eq!(parse(b":-7\r\n").unwrap(), Reply::Integer(-7));
        assert_eq!(parse(b"$-1\r\n").unwrap(), Reply::Bulk(None));
        assert_eq!(parse(b"$4\r\n\r\n\xff\0\r\n").unwrap(), Reply::Bulk(Some(b"\r\n\xff\0".to_vec())));
        let nested = Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![]), Reply::Bulk(None)]);
        assert_eq!(parse(b"*3\r\n:1\r\n*0\r\n$-1\r\n").unwrap(), nested);
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for bytes in [
            &b""[..],
            b"\r\n",
            b":1",
            b":x\r\n",
            b"?\r\n",
            b"$3\r\nab\r\n",
            b"$1\r\nabc",
            b"$-2\r\n",
            b"*2\r\n:1\r\n",
        ] {
            assert!(read(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
        assert!(read(&mut &b"$99999999999\r\n"[..]).is_err());
    }

    #[test]
    fn a_command_is_an_array_of_byte_strings() {
        let mut out = Vec::new();
        command(&mut out, &[b"GET", b"a\r\n"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n");
    }
}
