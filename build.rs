//! Migrations are compiled in: a change in them alone must compile the crate anew.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
