//! Reads and writes CSV in bounded memory, for any file.
//!
//! RFC 4180: commas, optional double quotes, `""` for a quote, lines ended by LF or CRLF, line breaks allowed
//! between quotes. Two rules differ from those of a general reader, so that one bad line costs only that
//! line:
//!
//! - A record has at most [`RECORD_BYTES_MAX`] bytes, so that a stray quote cannot bring the rest of a
//!   large file into memory.
//! - A record that cannot be split is skipped up to the end of its *first* line, and reading
//!   continues after it.

use std::io::{self, Read};

/// Size of the longest record, including line breaks between quotes.
pub const RECORD_BYTES_MAX: usize = 64 << 10;

/// Size of the buffer: larger than the longest record, so that one always fits.
const BUFFER_BYTES: usize = 256 << 10;

const _: () = assert!(BUFFER_BYTES > RECORD_BYTES_MAX);

/// The fields of one record, unquoted.
#[derive(Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    /// The field at `index`; `None` when the record has fewer.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(&self.bytes[start..end])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[cfg(test)]
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn end_field(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn is_blank(&self) -> bool {
        self.len() == 1 && self.bytes.is_empty()
    }
}

/// Why a line is not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// A quote is not closed within [`RECORD_BYTES_MAX`].
    OpenQuote,
    /// Something other than a comma or the end of the line follows a closing quote.
    AfterQuote,
    /// Longer than the longest record.
    TooLong,
}

/// The result of one step over the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A record that begins on this line.
    Record(u64),
    /// This line is not a record.
    Malformed(u64, Malformed),
    /// The buffer is used up: call [`Records::fill`], which may block. Finish pending work first.
    More,
    /// The end of the file.
    End,
}

/// Splits a file into records.
#[derive(Debug)]
pub struct Records<R> {
    source: R,
    buffer: Box<[u8]>,
    /// `buffer[start..end]` was read and is not split yet.
    start: usize,
    end: usize,
    /// Number of the line at `start`, from 1.
    line: u64,
    /// Bytes of the file before `start`.
    consumed: u64,
    at_end: bool,
    /// Inside a malformed line, until its end is found.
    skipping: bool,
}

impl<R: Read> Records<R> {
    /// Starts at the first line; a byte order mark before it is skipped.
    pub fn new(source: R) -> io::Result<Self> {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        let mut records = Records {
            source,
            buffer,
            start: 0,
            end: 0,
            line: 1,
            consumed: 0,
            at_end: false,
            skipping: false,
        };
        while records.end < 3 && !records.at_end {
            records.fill()?;
        }
        if records.buffer[..records.end].starts_with(b"\xef\xbb\xbf") {
            records.consume(3);
        }
        Ok(records)
    }

    /// Splits the next record into `fields`. Blank lines are skipped.
    pub fn step(&mut self, fields: &mut Fields) -> Step {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            if bytes.is_empty() {
                return if self.at_end { Step::End } else { Step::More };
            }
            if self.skipping {
                self.skip_line();
                continue;
            }
            let number = self.line;
            match split(bytes, self.at_end, fields) {
                Split::Record { length, lines } => {
                    self.consume(length);
                    self.line += lines;
                    if !fields.is_blank() {
                        return Step::Record(number);
                    }
                }
                Split::Incomplete => return Step::More,
                Split::Malformed(why) => {
                    self.skipping = true;
                    self.skip_line();
                    return Step::Malformed(number, why);
                }
            }
        }
    }

    /// Reads more of the file into the buffer.
    pub fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// Splits the next record into `fields`, and reads more of the file as needed.
    pub fn next(&mut self, fields: &mut Fields) -> io::Result<Step> {
        loop {
            match self.step(fields) {
                Step::More => self.fill()?,
                step => return Ok(step),
            }
        }
    }

    /// Number of bytes of the file up to the end of the last record.
    pub fn consumed_bytes(&self) -> u64 {
        self.consumed
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
        self.consumed += length as u64;
    }

    fn skip_line(&mut self) {
        let bytes = &self.buffer[self.start..self.end];
        match bytes.iter().position(|&byte| byte == b'\n') {
            Some(newline) => {
                self.consume(newline + 1);
                self.line += 1;
                self.skipping = false;
            }
            None => self.consume(bytes.len()),
        }
    }
}

enum Split {
    /// The record has `length` bytes and `lines` lines.
    Record {
        length: usize,
        lines: u64,
    },
    /// The record may continue after the bytes that were read.
    Incomplete,
    Malformed(Malformed),
}

/// Splits the record at the front of `bytes`.
fn split(bytes: &[u8], at_end: bool, fields: &mut Fields) -> Split {
    fields.clear();
    let whole = bytes.len() <= RECORD_BYTES_MAX;
    let bytes = &bytes[..bytes.len().min(RECORD_BYTES_MAX)];
    // The result if the bytes end within the record.
    let short = |quoted: bool| match (whole && !at_end, quoted) {
        (true, _) => Split::Incomplete,
        (false, true) => Split::Malformed(Malformed::OpenQuote),
        (false, false) => Split::Malformed(Malformed::TooLong),
    };
    let (mut at, mut lines) = (0, 1);
    loop {
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let Some(quote) = bytes[at..].iter().position(|&byte| byte == b'"') else {
                    return short(true);
                };
                let text = &bytes[at..at + quote];
                lines += text.iter().filter(|&&byte| byte == b'\n').count() as u64;
                fields.push(text);
                at += quote + 1;
                if bytes.get(at) != Some(&b'"') {
                    break;
                }
                fields.push(b"\"");
                at += 1;
            }
            fields.end_field();
            match &bytes[at..] {
                [b',', ..] => at += 1,
                [b'\n', ..] => return Split::Record { length: at + 1, lines },
                [b'\r', b'\n', ..] => return Split::Record { length: at + 2, lines },
                [] | [b'\r'] if whole && at_end => return Split::Record { length: bytes.len(), lines },
                [] | [b'\r'] => return short(false),
                _ => return Split::Malformed(Malformed::AfterQuote),
            }
        } else {
            let rest = &bytes[at..];
            match rest.iter().position(|&byte| byte == b',' || byte == b'\n') {
                Some(end) if rest[end] == b',' => {
                    fields.push(&rest[..end]);
                    fields.end_field();
                    at += end + 1;
                }
                Some(end) => {
                    fields.push(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]));
                    fields.end_field();
                    return Split::Record { length: at + end + 1, lines };
                }
                None if whole && at_end => {
                    fields.push(rest.strip_suffix(b"\r").unwrap_or(rest));
                    fields.end_field();
                    return Split::Record { length: bytes.len(), lines };
                }
                None => return short(false),
            }
        }
    }
}

/// Appends `field`, in quotes if necessary.
pub fn push_field(out: &mut Vec<u8>, field: &str) {
    if field.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.push(b'"');
        for byte in field.bytes() {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    } else {
        out.extend_from_slice(field.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns one byte per read, so that reading is interrupted at every possible place.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (out[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    fn all(mut records: Records<impl Read>) -> Vec<(u64, Result<Vec<String>, Malformed>)> {
        let (mut fields, mut found) = (Fields::default(), Vec::new());
        loop {
            match records.next(&mut fields).unwrap() {
                Step::Record(line) => {
                    let text = fields.iter().map(|field| String::from_utf8_lossy(field).into_owned());
                    found.push((line, Ok(text.collect())));
                }
                Step::Malformed(line, why) => found.push((line, Err(why))),
                Step::End => return found,
                Step::More => unreachable!(),
            }
        }
    }

    fn read(text: &[u8]) -> Vec<(u64, Result<Vec<String>, Malformed>)> {
        let at_once = all(Records::new(text).unwrap());
        assert_eq!(at_once, all(Records::new(Drip(text)).unwrap()));
        at_once
    }

    fn record(line: u64, fields: &[&str]) -> (u64, Result<Vec<String>, Malformed>) {
        (line, Ok(fields.iter().map(|field| field.to_string()).collect()))
    }

    #[test]
    fn lines_end_in_any_of_the_usual_ways() {
        let expected = [record(1, &["a", "b"]), record(2, &["c", ""]), record(3, &["", "d"])];
        for text in ["a,b\nc,\n,d\n", "a,b\r\nc,\r\n,d", "a,b\nc,\n,d\r"] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn blank_lines_are_counted_and_skipped() {
        assert_eq!(read(b"\n\r\na\n\nb\n\n"), [record(3, &["a"]), record(5, &["b"])]);
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\n"), []);
    }

    #[test]
    fn quotes_may_hold_commas_quotes_and_line_breaks() {
        let text = b"\"a,\"\"b\"\"\",c\n\"two\nlines\",d\n\"\",\"e\"\r\nf,\"g\"";
        let expected = [
            record(1, &["a,\"b\"", "c"]),
            record(2, &["two\nlines", "d"]),
            record(4, &["", "e"]),
            record(5, &["f", "g"]),
        ];
        assert_eq!(read(text), expected);
        assert_eq!(read(b"a\"b,c"), [record(1, &["a\"b", "c"])]);
    }

    #[test]
    fn a_stray_quote_costs_one_line() {
        let expected = [(1, Err(Malformed::OpenQuote)), record(2, &["b", "c"])];
        assert_eq!(read(b"\"a,1\nb,c\n"), expected);
        let expected = [(1, Err(Malformed::AfterQuote)), record(2, &["b", "c"])];
        assert_eq!(read(b"\"a\"x,1\nb,c\n"), expected);
    }

    #[test]
    fn a_record_is_bounded() {
        let mut text = vec![b'x'; RECORD_BYTES_MAX + 1];
        text.extend_from_slice(b"\nb,c\n");
        let expected = [(1, Err(Malformed::TooLong)), record(2, &["b", "c"])];
        assert_eq!(all(Records::new(&text[..]).unwrap()), expected);

        let mut text = b"\"\n".to_vec();
        text.resize(3 * BUFFER_BYTES, b'\n');
        text.extend_from_slice(b"b,c\n");
        let found = all(Records::new(&text[..]).unwrap());
        assert_eq!(found[0], (1, Err(Malformed::OpenQuote)));
        assert_eq!(found[1].1, record(0, &["b", "c"]).1);
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_skipped() {
        let mut text = vec![b'x'; 5 * BUFFER_BYTES];
        text.extend_from_slice(b"\nb\n");
        let expected = [(1, Err(Malformed::TooLong)), record(2, &["b"])];
        assert_eq!(all(Records::new(&text[..]).unwrap()), expected);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_header() {
        assert_eq!(all(Records::new(&b"\xef\xbb\xbfsku\n"[..]).unwrap()), [record(1, &["sku"])]);
    }

    #[test]
    fn written_fields_are_read_back() {
        for field in ["", "plain", "a,b", "say \"hi\"", "two\nlines", "cr\r", "é"] {
            let mut out = b"x,".to_vec();
            push_field(&mut out, field);
            out.push(b'\n');
            assert_eq!(read(&out), [record(1, &["x", field])]);
        }
    }
}
