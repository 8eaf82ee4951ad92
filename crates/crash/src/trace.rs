//! Parses the output of strace: calls with their arguments and results, and the events of their begins and
//! returns.
//!
//! While a process ends, strace reports results that are not the call's. So a return after the begin of the
//! last call is ignored. The effects of such calls are added to the trace later, under the thread [`ADDED`].

/// The thread number of calls that were added to a trace afterwards.
pub(crate) const ADDED: &str = "0";

/// One system call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// As strace writes them.
    pub(crate) arguments: Vec<String>,
    /// `None` for a call that never returned.
    pub(crate) result: Option<i64>,
}

/// An event of the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The call of this number begins.
    Begins(usize),
    /// It returns.
    Returns(usize),
}

/// The calls of a trace, and their events in order.
#[derive(Default, Debug)]
pub(crate) struct Trace {
    pub(crate) calls: Vec<Call>,
    pub(crate) events: Vec<Event>,
}

impl Trace {
    /// Reads the text of a trace of one process with any number of threads.
    pub(crate) fn read(text: &str) -> Result<Trace, String> {
        let mut trace = Trace::default();
        // By thread: the call that has begun, and the text of its beginning.
        let mut begun: Vec<(&str, usize, &str)> = Vec::new();
        let (mut last_began, mut added_from) = (0, None);
        for line in text.lines() {
            let bad = || format!("a line of the trace is not understood: {}", shortened(line));
            let (thread, said) = line.split_once(' ').ok_or_else(bad)?;
            let said = said.trim_start();
            if said.starts_with("+++") || said.starts_with("---") {
                continue;
            }
            if let Some(rest) = said.strip_prefix("<... ") {
                let place = begun.iter().position(|(of, ..)| *of == thread).ok_or_else(bad)?;
                let (_, number, beginning) = begun.swap_remove(place);
                let (_, rest) = rest.split_once(" resumed>").ok_or_else(bad)?;
                trace.calls[number] = call(&format!("{beginning}{rest}")).ok_or_else(bad)?;
                trace.events.push(Event::Returns(number));
                continue;
            }
            let number = trace.calls.len();
            match thread {
                ADDED => drop(added_from.get_or_insert(trace.events.len())),
                _ => last_began = trace.events.len(),
            }
            trace.events.push(Event::Begins(number));
            if let Some(beginning) = said.strip_suffix("<unfinished ...>") {
                begun.push((thread, number, beginning));
                // Kept if the call never returns.
                trace.calls.push(call(&format!("{beginning}) = ?")).ok_or_else(bad)?);
                continue;
            }
            let call = call(said).ok_or_else(bad)?;
            if call.result.is_some() {
                trace.events.push(Event::Returns(number));
            }
            trace.calls.push(call);
        }
        let mut place = 0;
        let added_from = added_from.unwrap_or(trace.events.len());
        let calls = &mut trace.calls;
        trace.events.retain(|event| {
            place += 1;
            match event {
                Event::Returns(number) if (last_began + 1..=added_from).contains(&place) => {
                    calls[*number].result = None;
                    false
                }
                _ => true,
            }
        });
        Ok(trace)
    }

    /// An event as text.
    pub(crate) fn describe(&self, event: Event) -> String {
        let (Event::Begins(number) | Event::Returns(number)) = event;
        let call = &self.calls[number];
        let arguments: Vec<String> = call.arguments.iter().map(|text| readable(text)).collect();
        let arguments = arguments.join(", ");
        match (event, call.result) {
            (Event::Returns(_), Some(result)) => {
                format!("{number} {}({arguments}) returns {result}", call.name)
            }
            _ => format!("{number} {}({arguments}) begins", call.name),
        }
    }
}

/// A short form of an argument.
fn readable(text: &str) -> String {
    match unquoted(text) {
        Ok(bytes) if bytes.len() <= 200 => String::from_utf8_lossy(&bytes).escape_debug().to_string(),
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(_) => shortened(text),
    }
}

/// `name(argument, argument) = result`.
fn call(text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (mut depth, mut quoted, mut from) = (0_u32, false, 0);
    let mut arguments = Vec::new();
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted, // a quote inside is written in hexadecimal
            _ if quoted => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                arguments.push(rest[from..at].trim().to_owned());
                let result = rest[at + 1..].trim_start().strip_prefix("= ")?;
                let result = result.split_ascii_whitespace().next()?;
                let hexadecimal = result.strip_prefix("0x");
                let number = match hexadecimal {
                    Some(digits) => i64::from_str_radix(digits, 16).ok(),
                    None => result.parse().ok(),
                };
                return Some(Call { name: name.to_owned(), arguments, result: number });
            }
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                arguments.push(rest[from..at].trim().to_owned());
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

impl Call {
    /// An argument's text.
    pub(crate) fn argument(&self, number: usize) -> Result<&str, String> {
        self.arguments
            .get(number)
            .map(|text| &**text)
            .ok_or_else(|| format!("{} lacks an argument", self.name))
    }

    /// An argument that is a number.
    pub(crate) fn number(&self, number: usize) -> Result<i64, String> {
        let text = self.argument(number)?;
        text.parse().map_err(|_| format!("{} has {text:?} for a number", self.name))
    }

    /// An argument that is a string.
    pub(crate) fn bytes(&self, number: usize) -> Result<Vec<u8>, String> {
        unquoted(self.argument(number)?)
    }

    /// Whether the call succeeded.
    pub(crate) fn succeeded(&self) -> bool {
        self.result.is_some_and(|result| result >= 0)
    }
}

/// The bytes of `"\x61\x62"`.
pub(crate) fn unquoted(text: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("not a complete hexadecimal string: {}", shortened(text));
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(bad)?;
    if digits.len() % 4 != 0 {
        return Err(bad());
    }
    let digit = |byte: u8| (byte as char).to_digit(16).ok_or_else(bad);
    digits
        .as_bytes()
        .chunks_exact(4)
        .map(|byte| match byte {
            [b'\\', b'x', high, low] => Ok((digit(*high)? << 4 | digit(*low)?) as u8),
            _ => Err(bad()),
        })
        .collect()
}

/// Bytes as strace writes them.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let hexadecimal: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("\"{hexadecimal}\"")
}

fn shortened(text: &str) -> String {
    text.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_another_threads_line_has_cut_in_two_is_put_together() {
        let text = r#"7 pwrite64(4, "\x61\x2c\x29", 3, 99 <unfinished ...>
8 openat(AT_FDCWD, "\x2f", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
7 <... pwrite64 resumed>)           = 3
8 fdatasync(5 <unfinished ...>
9 pwrite64(4, "\x61", 1, 5)  = 1
8 <... fdatasync resumed>) = 7
8 +++ exited with 0 +++
0 pwrite64(4, "\x61", 1, 5)  = 1"#;
        let trace = Trace::read(text).unwrap();
        use Event::{Begins, Returns};
        assert_eq!(
            trace.events,
            [Begins(0), Begins(1), Returns(1), Returns(0), Begins(2), Begins(3), Begins(4), Returns(4)]
        );
        assert_eq!(trace.calls[0].bytes(1).unwrap(), b"a,)");
        assert_eq!((trace.calls[0].number(3), trace.calls[0].result), (Ok(99), Some(3)));
        assert_eq!((trace.calls[1].result, trace.calls[2].result), (Some(-1), None));
        assert_eq!((trace.calls[3].result, trace.calls[4].result), (None, Some(1)));
        assert_eq!(trace.calls[2].number(0), Ok(5));
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        assert!(Trace::read("7 pwrite64(4, \"\\x61").is_err());
        assert!(unquoted(r#""\x61"..."#).is_err());
        assert_eq!(unquoted(&quoted(b"\0\xffz")).unwrap(), b"\0\xffz");
    }
}
