//! Follows a trace call by call: which file a descriptor is, what was done to the disk, what the witness had heard.
//!
//! A call counts from its return, but a sync covers only what had returned when it began, and the witness hears from
//! the moment that a write to it begins: whoever released that answer had decided to by then.
//!
//! A call that may change the disk and is not understood is an error, never passed over.

use std::collections::BTreeMap;

use crate::base::Base;
use crate::disk::{Directory, Disk, File, Kind, Node, ROOT, Step};
use crate::trace::{Call, Moment, Trace, unquoted};
use crate::witness::Witness;

/// The calls that are traced: all that may change a file, and those that say which descriptor is which.
pub(crate) const TRACED: &str = "open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,\
    write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,\
    copy_file_range,sendfile,splice,ioctl,mmap,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,mknod,mknodat,\
    fsync,fdatasync,sync_file_range,sync,syncfs,msync,\
    clone,clone3,fork,vfork,execve,execveat,chdir,fchdir,io_uring_setup,io_submit";

#[cfg(test)]
mod tests;

/// What a descriptor is.
#[derive(Clone)]
enum Open {
    /// A file or directory of the disk, by the number of its opening: descriptors that were duplicated share one.
    Ours(usize),
    Witness,
}

/// One opening of a file or directory.
struct Opening {
    node: Node,
    position: usize,
    append: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) disk: Disk,
    pub(crate) witness: Witness,
    /// The disk's root, as the program names it; it ends in a slash.
    root: String,
    descriptors: BTreeMap<i64, Open>,
    openings: Vec<Opening>,
    /// By call: the steps that a sync which has begun covers.
    syncs: BTreeMap<usize, Step>,
}

impl Machine {
    /// A disk with what it begins with, whose root the program calls so.
    pub(crate) fn new(root: &str, base: &Base) -> Machine {
        let (disk, witness) = (Disk::of(&base.image), base.witness.clone());
        Machine { disk, witness, root: format!("{root}/"), ..Machine::default() }
    }

    /// What the program calls the root, with a slash at the end.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Another process begins; its standard output is the witness.
    pub(crate) fn process_starts(&mut self) {
        self.descriptors = BTreeMap::from([(1, Open::Witness)]);
        self.openings.clear();
        self.syncs.clear();
        self.witness.end();
    }

    /// The next moment of the trace.
    pub(crate) fn step(&mut self, trace: &Trace, moment: Moment) -> Result<(), String> {
        let (Moment::Begins(number) | Moment::Returns(number)) = moment;
        let call = &trace.calls[number];
        let done = match moment {
            Moment::Begins(_) => self.begins(number, call),
            Moment::Returns(_) if call.succeeded() => self.returns(number, call),
            Moment::Returns(_) => Ok(()),
        };
        done.map_err(|why| {
            let said = format!("{}({}) = {:?}", call.name, call.arguments.join(", "), call.result);
            format!("{why}: {}", said.chars().take(300).collect::<String>())
        })
    }

    fn begins(&mut self, number: usize, call: &Call) -> Result<(), String> {
        match &*call.name {
            "fsync" | "fdatasync" => drop(self.syncs.insert(number, self.disk.steps())),
            // Its number may be given to another file before it returns.
            "close" => drop(self.descriptors.remove(&call.number(0)?)),
            "write" if matches!(self.descriptors.get(&call.number(0)?), Some(Open::Witness)) => {
                self.witness.hear(&call.bytes(1)?)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn returns(&mut self, number: usize, call: &Call) -> Result<(), String> {
        let result = call.result.unwrap_or_default();
        match &*call.name {
            "openat" | "open" | "creat" => self.opens(call, result)?,
            "dup" | "dup2" | "dup3" => self.duplicated(call.number(0)?, result),
            "fcntl" if call.argument(1)?.starts_with("F_DUPFD") => self.duplicated(call.number(0)?, result),
            "lseek" => {
                if let Some(opening) = self.opening(call)? {
                    opening.position = result as usize;
                }
            }
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.writes(call, result as usize)?,
            "ftruncate" => {
                if let Some(opening) = self.opening(call)? {
                    let (node, length) = (opening.node, call.number(1)? as usize);
                    self.disk.resize(node, length)?;
                }
            }
            "truncate" => {
                if let Some((directory, name)) = self.path(None, call.argument(0)?)? {
                    let node = self.there(directory, &name)?;
                    self.disk.resize(node, call.number(1)? as usize)?;
                }
            }
            "fallocate" => {
                if let Some(opening) = self.opening(call)? {
                    let (node, end) = (opening.node, (call.number(2)? + call.number(3)?) as usize);
                    if call.argument(1)? != "0" {
                        return Err("a way of allocating that is not known".into());
                    }
                    let length = self.disk.file(node)?.length.max(end);
                    self.disk.resize(node, length)?;
                }
            }
            "copy_file_range" => self.copies(call, result as usize)?,
            "rename" => self.renames((None, call.argument(0)?), (None, call.argument(1)?))?,
            "renameat" | "renameat2" => {
                if call.arguments.get(4).is_some_and(|flags| flags.contains("EXCHANGE")) {
                    return Err("names are exchanged".into());
                }
                let (from, to) = (call.argument(0)?, call.argument(2)?);
                self.renames((Some(from), call.argument(1)?), (Some(to), call.argument(3)?))?;
            }
            "unlink" | "rmdir" => self.unnames(None, call.argument(0)?)?,
            "unlinkat" => self.unnames(Some(call.argument(0)?), call.argument(1)?)?,
            "mkdir" => self.makes(None, call.argument(0)?)?,
            "mkdirat" => self.makes(Some(call.argument(0)?), call.argument(1)?)?,
            "link" => self.links((None, call.argument(0)?), (None, call.argument(1)?))?,
            "linkat" => {
                let (from, to) = (call.argument(0)?, call.argument(2)?);
                self.links((Some(from), call.argument(1)?), (Some(to), call.argument(3)?))?;
            }
            "fsync" | "fdatasync" => {
                let covered = self.syncs.remove(&number).unwrap_or_default();
                if let Some(opening) = self.opening(call)? {
                    let node = opening.node;
                    self.disk.sync(node, covered);
                }
            }
            // It waits for pages to be written, and vouches for neither the length nor the disk's own cache.
            "sync_file_range" | "fcntl" | "close" => {}
            // Of our files; of others nothing is known here.
            "mmap" => {
                let shared =
                    call.argument(3)?.contains("MAP_SHARED") && call.argument(2)?.contains("PROT_WRITE");
                if shared && self.descriptors.contains_key(&call.number(4).unwrap_or(-1)) {
                    return Err("a file is mapped to be written".into());
                }
            }
            "sendfile" | "ioctl" => {
                if self.opening(call)?.is_some() {
                    return Err("a call that this disk does not know".into());
                }
            }
            "symlink" | "symlinkat" | "mknod" | "mknodat" => {
                if call.arguments.iter().any(|text| unquoted(text).is_ok_and(|path| self.is_ours(&path))) {
                    return Err("a call that this disk does not know".into());
                }
            }
            // The program itself is started, in a directory without files of its own.
            "execve" => {}
            "clone" | "clone3" if call.arguments.iter().any(|flags| flags.contains("CLONE_THREAD")) => {}
            _ => return Err("a call that this disk does not know".into()),
        }
        Ok(())
    }

    fn is_ours(&self, path: &[u8]) -> bool {
        String::from_utf8_lossy(path).starts_with(&self.root)
    }

    /// The opening that the call's first argument is a descriptor of.
    fn opening(&mut self, call: &Call) -> Result<Option<&mut Opening>, String> {
        Ok(self.opening_of(call.number(0)?))
    }

    fn opening_of(&mut self, descriptor: i64) -> Option<&mut Opening> {
        match self.descriptors.get(&descriptor) {
            Some(Open::Ours(opening)) => Some(&mut self.openings[*opening]),
            _ => None,
        }
    }

    fn duplicated(&mut self, from: i64, to: i64) {
        match self.descriptors.get(&from).cloned() {
            Some(open) => self.descriptors.insert(to, open),
            None => self.descriptors.remove(&to),
        };
    }

    /// A path's directory and last name, if it is on the disk and not its root.
    fn path(&mut self, at: Option<&str>, text: &str) -> Result<Option<(Node, String)>, String> {
        let path = String::from_utf8(unquoted(text)?).map_err(|_| "a name that is no text")?;
        let (mut directory, rest) = match path.strip_prefix(&self.root) {
            Some(rest) => (ROOT, rest),
            None if path.starts_with('/') => return Ok(None),
            // Relative to a directory of ours, or to one that is not, or to where the program runs, which is not.
            None => match at.and_then(|at| at.parse().ok()).and_then(|at| self.opening_of(at)) {
                Some(opening) => (opening.node, &*path),
                None => return Ok(None),
            },
        };
        let mut names: Vec<&str> = rest.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let Some(last) = names.pop() else { return Ok(None) };
        if last == ".." || names.contains(&"..") {
            return Err("a path that goes up".into());
        }
        for name in names {
            directory = self.there(directory, name)?;
        }
        Ok(Some((directory, last.to_owned())))
    }

    fn there(&self, directory: Node, name: &str) -> Result<Node, String> {
        self.disk.named(directory, name)?.ok_or_else(|| format!("there is no {name:?} on the disk"))
    }

    fn opens(&mut self, call: &Call, descriptor: i64) -> Result<(), String> {
        let (at, path, flags) = match &*call.name {
            "openat" => (Some(call.argument(0)?), call.argument(1)?, call.argument(2)?),
            "open" => (None, call.argument(0)?, call.argument(1)?),
            _ => (None, call.argument(0)?, "O_CREAT|O_TRUNC"),
        };
        let flag = |flag: &str| flags.split('|').any(|is| is == flag);
        let root = self.root.strip_suffix('/') == String::from_utf8(unquoted(path)?).ok().as_deref();
        let node = match self.path(at, path)? {
            None if root => ROOT,
            // Not one of ours. The number may have been, if its close was not seen.
            None => {
                self.descriptors.remove(&descriptor);
                return Ok(());
            }
            Some((directory, name)) => match self.disk.named(directory, &name)? {
                Some(node) => node,
                None if flag("O_CREAT") => self.disk.make(directory, &name, Kind::File(File::default())),
                None => return Err("it was opened, and is not on the disk".into()),
            },
        };
        if ["O_TMPFILE", "O_SYNC", "O_DSYNC", "O_DIRECT"].into_iter().any(flag) {
            return Err("a way of opening that this disk does not know".into());
        }
        if flag("O_TRUNC") {
            self.disk.resize(node, 0)?;
        }
        self.openings.push(Opening { node, position: 0, append: flag("O_APPEND") });
        self.descriptors.insert(descriptor, Open::Ours(self.openings.len() - 1));
        Ok(())
    }

    fn writes(&mut self, call: &Call, written: usize) -> Result<(), String> {
        let Some(Opening { node, position, append }) = self.opening(call)? else { return Ok(()) };
        let (node, is_placed) = (*node, call.name.starts_with('p'));
        let (at, append) = match is_placed {
            true => (usize::try_from(call.number(3)?).map_err(|_| "a place that is none")?, false),
            false => (*position, *append),
        };
        let mut data = match &*call.name {
            "write" | "pwrite64" => call.bytes(1)?,
            _ => vector(call.argument(1)?)?,
        };
        if data.len() < written {
            return Err("more was written than the trace says".into());
        }
        data.truncate(written);
        let at = if append { self.disk.file(node)?.length } else { at };
        self.disk.write(node, at, &data)?;
        if let Some(opening) = self.opening(call)?.filter(|_| !is_placed) {
            opening.position = at + written;
        }
        Ok(())
    }

    fn copies(&mut self, call: &Call, copied: usize) -> Result<(), String> {
        let (from, to) = (call.number(0)?, call.number(2)?);
        let place =
            |this: &mut Self, descriptor: i64, offset: &str| -> Result<Option<(Node, usize)>, String> {
                let Some(opening) = this.opening_of(descriptor) else { return Ok(None) };
                // strace shows where an offset ended: "[0 => 5]".
                let given = offset.trim_matches(['[', ']']).split(' ').next().unwrap_or_default();
                let at = match offset {
                    "NULL" => opening.position,
                    _ => given.parse().map_err(|_| "an offset that is no number")?,
                };
                if offset == "NULL" {
                    opening.position += copied;
                }
                Ok(Some((opening.node, at)))
            };
        let source = place(self, from, call.argument(1)?)?;
        let Some((node, at)) = place(self, to, call.argument(3)?)? else { return Ok(()) };
        let (source, from) = source.ok_or("it is copied from a file that is not known")?;
        let content = self.disk.content(source)?;
        let data = content.get(from..from + copied).ok_or("more was copied than was there")?;
        self.disk.write(node, at, data)
    }

    fn renames(&mut self, from: (Option<&str>, &str), to: (Option<&str>, &str)) -> Result<(), String> {
        let (from, to) = (self.path(from.0, from.1)?, self.path(to.0, to.1)?);
        match (from, to) {
            (None, None) => {}
            (Some((from, old)), Some((to, new))) => {
                let node = self.there(from, &old)?;
                self.disk.name(vec![(from, old, None), (to, new, Some(node))]);
            }
            _ => return Err("it is renamed from or to another disk".into()),
        }
        Ok(())
    }

    fn links(&mut self, from: (Option<&str>, &str), to: (Option<&str>, &str)) -> Result<(), String> {
        let (from, to) = (self.path(from.0, from.1)?, self.path(to.0, to.1)?);
        match (from, to) {
            (None, None) => {}
            (Some((from, old)), Some((to, new))) => {
                let node = self.there(from, &old)?;
                self.disk.name(vec![(to, new, Some(node))]);
            }
            _ => return Err("it is linked from or to another disk".into()),
        }
        Ok(())
    }

    fn unnames(&mut self, at: Option<&str>, path: &str) -> Result<(), String> {
        if let Some((directory, name)) = self.path(at, path)? {
            self.there(directory, &name)?;
            self.disk.name(vec![(directory, name, None)]);
        }
        Ok(())
    }

    fn makes(&mut self, at: Option<&str>, path: &str) -> Result<(), String> {
        if let Some((directory, name)) = self.path(at, path)? {
            self.disk.make(directory, &name, Kind::Directory(Directory::default()));
        }
        Ok(())
    }

    /// The file and place of a write into one of our files.
    pub(crate) fn place_of(&mut self, call: &Call) -> Option<(Node, usize, usize)> {
        let placed = call.name == "pwrite64";
        if !placed && call.name != "write" {
            return None;
        }
        let length = call.bytes(1).ok()?.len();
        let descriptor = call.number(0).ok()?;
        let opening = self.opening_of(descriptor)?;
        let (node, position, append) = (opening.node, opening.position, opening.append);
        let at = match (placed, append) {
            (true, _) => call.number(3).ok()? as usize,
            (false, true) => self.disk.file(node).ok()?.length,
            (false, false) => position,
        };
        Some((node, at, length))
    }
}

/// The bytes of `[{iov_base="\x61", iov_len=1}, ...]`.
fn vector(text: &str) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    for part in text.split("iov_base=").skip(1) {
        let end = part.rfind(", iov_len=").ok_or("a vector that is not understood")?;
        data.extend(unquoted(&part[..end])?);
    }
    Ok(data)
}
