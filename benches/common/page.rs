//! Writes tables into pages of the documentation.

use std::fs;
use std::path::Path;

/// Writes `text` between `<!-- NAME: ... -->` and the next `<!-- end -->` of a page.
pub fn write(page: &Path, name: &str, text: &str) {
    let old = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let missing = || panic!("{} has no <!-- {name}: ... --> before an <!-- end -->", page.display());
    let begin = old.find(&format!("<!-- {name}:")).unwrap_or_else(missing);
    let begin = begin + old[begin..].find("-->\n").unwrap_or_else(missing) + "-->\n".len();
    let end = begin + old[begin..].find("<!-- end -->").unwrap_or_else(missing);
    let new = format!("{}\n{}\n\n{}", &old[..begin], text.trim(), &old[end..]);
    fs::write(page, new).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
}
