//! A file that is replaced atomically: the old content stays until the new content is written to a file
//! beside it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::output::Stop;

pub(super) struct AtomicFile {
    path: PathBuf,
    file: File,
    /// The file that is written until it is complete; `None` if the path cannot be replaced, for example a
    /// pipe.
    beside: Option<PathBuf>,
}

impl AtomicFile {
    /// Fails now if the file could not be written later.
    pub(super) fn open(path: &Path) -> Result<AtomicFile, Stop> {
        AtomicFile::begin(path).map_err(|error| unwritable(path, &error))
    }

    fn begin(path: &Path) -> io::Result<AtomicFile> {
        let path = match File::options().append(true).open(path) {
            Ok(file) if file.metadata()?.is_file() => path.canonicalize()?, // replaces the target of a link
            Ok(file) => return Ok(AtomicFile { path: path.to_owned(), file, beside: None }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        let file = File::create_new(&beside)?;
        Ok(AtomicFile { path, file, beside: Some(beside) })
    }

    pub(super) fn finish(mut self, text: &str) -> Result<(), Stop> {
        let mut finish = || {
            self.file.write_all(text.as_bytes())?;
            if let Some(beside) = self.beside.take() {
                fs::rename(&beside, &self.path).inspect_err(|_| remove(&beside))?;
            }
            Ok(())
        };
        finish().map_err(|error| unwritable(&self.path, &error))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            remove(beside);
        }
    }
}

fn remove(beside: &Path) {
    if let Err(error) = fs::remove_file(beside) {
        eprintln!("stockhold: {} could not be removed: {error}; remove it", beside.display());
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Stop {
    Stop::environment(format_args!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_at_the_end_or_never() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("page");
        let entries = || fs::read_dir(parent.path()).unwrap().count();
        drop(AtomicFile::open(&path).unwrap_or_else(|_| panic!("it can be written")));
        assert_eq!(entries(), 0);

        for text in ["one", "two"] {
            let file = AtomicFile::open(&path).unwrap_or_else(|_| panic!("it can be written"));
            assert_ne!(fs::read_to_string(&path).unwrap_or_default(), text);
            file.finish(text).unwrap_or_else(|_| panic!("it can be written"));
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), entries()), (text, 1));
        }
    }

    #[test]
    fn a_path_that_is_not_a_file_is_written_directly_or_refused() {
        let null = AtomicFile::open(Path::new("/dev/null")).unwrap_or_else(|_| panic!("it can be written"));
        assert!(null.beside.is_none() && null.finish("nothing").is_ok());
        for path in ["/", "/no/such/place/page", ""] {
            assert!(AtomicFile::open(Path::new(path)).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_link_stays_one() {
        let parent = tempfile::tempdir().unwrap();
        let [link, page] = ["link", "page"].map(|name| parent.path().join(name));
        fs::write(&page, "before").unwrap();
        std::os::unix::fs::symlink(&page, &link).unwrap();
        let file = AtomicFile::open(&link).unwrap_or_else(|_| panic!("it can be written"));
        assert!(file.finish("after").is_ok());
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(page).unwrap(), "after");
    }
}
