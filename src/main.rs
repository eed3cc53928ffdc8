//! The server's binary: read the configuration, run the shop.

use mimalloc::MiMalloc;
use sneakdrop::server::{config::Config, run};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// In the profile of a rush, an eighth of all the time was spent in the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("sneakdrop: {error}");
            return ExitCode::from(2);
        }
    };
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sneakdrop: {error}");
            ExitCode::FAILURE
        }
    }
}
