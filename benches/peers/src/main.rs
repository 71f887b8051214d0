//! The layer beside its peers: whole calls in this process (`peers`), or one axum app over HTTP (`peers serve NAME`).

#[path = "../../common/mod.rs"]
mod common;
mod compare;
mod glue;
mod layers;
mod serve;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => compare::run(),
        ["serve", name] => serve::run(name),
        _ => {
            eprintln!("expected nothing, or: serve NAME, with one of {:?}", serve::NAMES);
            std::process::exit(2);
        }
    }
}
