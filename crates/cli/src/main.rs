//! The `stockhold` command.

fn main() {
    println!("stockhold {}", env!("CARGO_PKG_VERSION"));
}
