//! Replays a trace call by call: keeps track of descriptors, changes the disk, and feeds the witness.
//!
//! A call takes effect when it returns. But a sync covers only the calls that had returned when it began, and
//! the witness reads a line when the write of it begins: by then the load had already released that answer.
//!
//! A call that may change the disk and is not understood is an error; it is never ignored.

use std::collections::BTreeMap;

use crate::base::Base;
use crate::disk::{Directory, Disk, File, Node, NodeId, ROOT, Step};
use crate::trace::{Call, Event, Trace, unquoted};
use crate::witness::Witness;

/// The traced calls: all that may change a file, and those that make, copy or close descriptors.
pub(crate) const TRACED: &str = "open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,\
    write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,\
    copy_file_range,sendfile,splice,ioctl,mmap,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,mknod,\
    mknodat,\
    fsync,fdatasync,sync_file_range,sync,syncfs,msync,\
    clone,clone3,fork,vfork,execve,execveat,chdir,fchdir,io_uring_setup,io_submit";

#[cfg(test)]
mod tests;

/// The meaning of a descriptor.
#[derive(Clone)]
enum Descriptor {
    /// An index into `open_files`: duplicated descriptors share one.
    Ours(usize),
    Witness,
}

/// An open file or directory of the disk.
struct OpenFile {
    node: NodeId,
    position: usize,
    append: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) disk: Disk,
    pub(crate) witness: Witness,
    /// The path of the disk's root in the trace; it ends in a slash.
    root: String,
    descriptors: BTreeMap<i64, Descriptor>,
    open_files: Vec<OpenFile>,
    /// For each sync that has begun: the steps that it covers, by the number of the call.
    syncs: BTreeMap<usize, Step>,
}

impl Machine {
    /// Creates a machine with the disk of a base; `root` is its path in the trace.
    pub(crate) fn new(root: &str, base: &Base) -> Machine {
        let (disk, witness) = (Disk::of(&base.image), base.witness.clone());
        Machine { disk, witness, root: format!("{root}/"), ..Machine::default() }
    }

    /// The path of the root in the trace, with a slash at the end.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Starts another process; its standard output goes to the witness.
    pub(crate) fn process_starts(&mut self) {
        self.descriptors = BTreeMap::from([(1, Descriptor::Witness)]);
        self.open_files.clear();
        self.syncs.clear();
        self.witness.end();
    }

    /// Replays the next event of the trace.
    pub(crate) fn step(&mut self, trace: &Trace, event: Event) -> Result<(), String> {
        let (Event::Begins(number) | Event::Returns(number)) = event;
        let call = &trace.calls[number];
        let done = match event {
            Event::Begins(_) => self.begins(number, call),
            Event::Returns(_) if call.succeeded() => self.returns(number, call),
            Event::Returns(_) => Ok(()),
        };
        done.map_err(|why| {
            let said = format!("{}({}) = {:?}", call.name, call.arguments.join(", "), call.result);
            format!("{why}: {}", said.chars().take(300).collect::<String>())
        })
    }

    fn begins(&mut self, number: usize, call: &Call) -> Result<(), String> {
        match &*call.name {
            "fsync" | "fdatasync" => drop(self.syncs.insert(number, self.disk.steps())),
            // The descriptor may be used for another file before the close returns.
            "close" => drop(self.descriptors.remove(&call.number(0)?)),
            "write" if matches!(self.descriptors.get(&call.number(0)?), Some(Descriptor::Witness)) => {
                self.witness.read(&call.bytes(1)?)?;
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
                if let Some(open_file) = self.open_file(call)? {
                    open_file.position = result as usize;
                }
            }
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.writes(call, result as usize)?,
            "ftruncate" => {
                if let Some(open_file) = self.open_file(call)? {
                    let (node, length) = (open_file.node, call.number(1)? as usize);
                    self.disk.resize(node, length)?;
                }
            }
            "truncate" => {
                if let Some((directory, name)) = self.path(None, call.argument(0)?)? {
                    let node = self.existing(directory, &name)?;
                    self.disk.resize(node, call.number(1)? as usize)?;
                }
            }
            "fallocate" => {
                if let Some(open_file) = self.open_file(call)? {
                    let (node, end) = (open_file.node, (call.number(2)? + call.number(3)?) as usize);
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
            "unlink" | "rmdir" => self.unlinks(None, call.argument(0)?)?,
            "unlinkat" => self.unlinks(Some(call.argument(0)?), call.argument(1)?)?,
            "mkdir" => self.makes_directory(None, call.argument(0)?)?,
            "mkdirat" => self.makes_directory(Some(call.argument(0)?), call.argument(1)?)?,
            "link" => self.links((None, call.argument(0)?), (None, call.argument(1)?))?,
            "linkat" => {
                let (from, to) = (call.argument(0)?, call.argument(2)?);
                self.links((Some(from), call.argument(1)?), (Some(to), call.argument(3)?))?;
            }
            "fsync" | "fdatasync" => {
                let covered = self.syncs.remove(&number).unwrap_or_default();
                if let Some(open_file) = self.open_file(call)? {
                    let node = open_file.node;
                    self.disk.sync(node, covered);
                }
            }
            // `sync_file_range` makes neither the length nor the disk's own cache durable.
            "sync_file_range" | "fcntl" | "close" => {}
            // Only mappings of files on this disk matter.
            "mmap" => {
                let shared =
                    call.argument(3)?.contains("MAP_SHARED") && call.argument(2)?.contains("PROT_WRITE");
                if shared && self.descriptors.contains_key(&call.number(4).unwrap_or(-1)) {
                    return Err("a file is mapped to be written".into());
                }
            }
            "sendfile" | "ioctl" => {
                if self.open_file(call)?.is_some() {
                    return Err("a call that this disk does not know".into());
                }
            }
            "symlink" | "symlinkat" | "mknod" | "mknodat" => {
                if call.arguments.iter().any(|text| unquoted(text).is_ok_and(|path| self.is_ours(&path))) {
                    return Err("a call that this disk does not know".into());
                }
            }
            // The start of the program, in a directory without files of this disk.
            "execve" => {}
            "clone" | "clone3" if call.arguments.iter().any(|flags| flags.contains("CLONE_THREAD")) => {}
            _ => return Err("a call that this disk does not know".into()),
        }
        Ok(())
    }

    fn is_ours(&self, path: &[u8]) -> bool {
        String::from_utf8_lossy(path).starts_with(&self.root)
    }

    /// The open file of the call's first argument.
    fn open_file(&mut self, call: &Call) -> Result<Option<&mut OpenFile>, String> {
        Ok(self.open_file_of(call.number(0)?))
    }

    fn open_file_of(&mut self, descriptor: i64) -> Option<&mut OpenFile> {
        match self.descriptors.get(&descriptor) {
            Some(Descriptor::Ours(open_file)) => Some(&mut self.open_files[*open_file]),
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
    fn path(&mut self, at: Option<&str>, text: &str) -> Result<Option<(NodeId, String)>, String> {
        let path = String::from_utf8(unquoted(text)?).map_err(|_| "a name that is not text")?;
        let (mut directory, rest) = match path.strip_prefix(&self.root) {
            Some(rest) => (ROOT, rest),
            None if path.starts_with('/') => return Ok(None),
            // Relative to a directory of this disk, or to another one, or to the working directory, which is
            // not on it.
            None => match at.and_then(|at| at.parse().ok()).and_then(|at| self.open_file_of(at)) {
                Some(open_file) => (open_file.node, &*path),
                None => return Ok(None),
            },
        };
        let mut names: Vec<&str> = rest.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let Some(last) = names.pop() else { return Ok(None) };
        if last == ".." || names.contains(&"..") {
            return Err("a path that goes up".into());
        }
        for name in names {
            directory = self.existing(directory, name)?;
        }
        Ok(Some((directory, last.to_owned())))
    }

    fn existing(&self, directory: NodeId, name: &str) -> Result<NodeId, String> {
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
            // Not on this disk. The descriptor may have been, if its close was not traced.
            None => {
                self.descriptors.remove(&descriptor);
                return Ok(());
            }
            Some((directory, name)) => match self.disk.named(directory, &name)? {
                Some(node) => node,
                None if flag("O_CREAT") => self.disk.make(directory, &name, Node::File(File::default())),
                None => return Err("it was opened, and is not on the disk".into()),
            },
        };
        if ["O_TMPFILE", "O_SYNC", "O_DSYNC", "O_DIRECT"].into_iter().any(flag) {
            return Err("a way of opening that this disk does not know".into());
        }
        if flag("O_TRUNC") {
            self.disk.resize(node, 0)?;
        }
        self.open_files.push(OpenFile { node, position: 0, append: flag("O_APPEND") });
        self.descriptors.insert(descriptor, Descriptor::Ours(self.open_files.len() - 1));
        Ok(())
    }

    fn writes(&mut self, call: &Call, written: usize) -> Result<(), String> {
        let Some(OpenFile { node, position, append }) = self.open_file(call)? else { return Ok(()) };
        let (node, is_placed) = (*node, call.name.starts_with('p'));
        let (at, append) = match is_placed {
            true => (usize::try_from(call.number(3)?).map_err(|_| "a position that is not valid")?, false),
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
        if let Some(open_file) = self.open_file(call)?.filter(|_| !is_placed) {
            open_file.position = at + written;
        }
        Ok(())
    }

    fn copies(&mut self, call: &Call, copied: usize) -> Result<(), String> {
        let (from, to) = (call.number(0)?, call.number(2)?);
        let place =
            |this: &mut Self, descriptor: i64, offset: &str| -> Result<Option<(NodeId, usize)>, String> {
                let Some(open_file) = this.open_file_of(descriptor) else { return Ok(None) };
                // strace shows where an offset ended: "[0 => 5]".
                let given = offset.trim_matches(['[', ']']).split(' ').next().unwrap_or_default();
                let at = match offset {
                    "NULL" => open_file.position,
                    _ => given.parse().map_err(|_| "an offset that is not a number")?,
                };
                if offset == "NULL" {
                    open_file.position += copied;
                }
                Ok(Some((open_file.node, at)))
            };
        let source = place(self, from, call.argument(1)?)?;
        let Some((node, at)) = place(self, to, call.argument(3)?)? else { return Ok(()) };
        let (source, from) = source.ok_or("it is copied from an unknown file")?;
        let content = self.disk.content(source)?;
        let data = content.get(from..from + copied).ok_or("more was copied than was there")?;
        self.disk.write(node, at, data)
    }

    fn renames(&mut self, from: (Option<&str>, &str), to: (Option<&str>, &str)) -> Result<(), String> {
        let (from, to) = (self.path(from.0, from.1)?, self.path(to.0, to.1)?);
        match (from, to) {
            (None, None) => {}
            (Some((from, old)), Some((to, new))) => {
                let node = self.existing(from, &old)?;
                self.disk.change_names(vec![(from, old, None), (to, new, Some(node))]);
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
                let node = self.existing(from, &old)?;
                self.disk.change_names(vec![(to, new, Some(node))]);
            }
            _ => return Err("it is linked from or to another disk".into()),
        }
        Ok(())
    }

    fn unlinks(&mut self, at: Option<&str>, path: &str) -> Result<(), String> {
        if let Some((directory, name)) = self.path(at, path)? {
            self.existing(directory, &name)?;
            self.disk.change_names(vec![(directory, name, None)]);
        }
        Ok(())
    }

    fn makes_directory(&mut self, at: Option<&str>, path: &str) -> Result<(), String> {
        if let Some((directory, name)) = self.path(at, path)? {
            self.disk.make(directory, &name, Node::Directory(Directory::default()));
        }
        Ok(())
    }

    /// The file, the offset and the length of a write to a file of this disk.
    pub(crate) fn place_of(&mut self, call: &Call) -> Option<(NodeId, usize, usize)> {
        let placed = call.name == "pwrite64";
        if !placed && call.name != "write" {
            return None;
        }
        let length = call.bytes(1).ok()?.len();
        let descriptor = call.number(0).ok()?;
        let open_file = self.open_file_of(descriptor)?;
        let (node, position, append) = (open_file.node, open_file.position, open_file.append);
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
