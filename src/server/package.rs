//! The compiled page: the files that cargo-leptos builds.

use leptos::config::LeptosOptions;

/// The addresses of the compiled page's files. In a release their names contain hashes of their contents, which
/// cargo-leptos writes to a file beside the server.
pub struct Package {
    pub style_sheet: String,
    pub script: String,
    pub wasm: String,
    /// Tells builds apart: the hash of the WebAssembly, or the package's version during development.
    pub build: String,
}

impl Package {
    pub(super) fn load(options: &LeptosOptions) -> Self {
        let hashes = std::env::current_exe()
            .ok()
            .filter(|_| options.hash_files)
            .and_then(|server| std::fs::read_to_string(server.with_file_name(&*options.hash_file)).ok());
        let hash_of = |file: &str| {
            let line = hashes
                .iter()
                .flat_map(|hashes| hashes.lines())
                .find_map(|line| line.split_once(':').filter(|(name, _)| *name == file));
            line.map(|(_, hash)| hash.trim().to_owned())
        };
        let file = |extension| {
            let hash = hash_of(extension).map(|hash| format!(".{hash}")).unwrap_or_default();
            format!("/{}/{}{hash}.{extension}", options.site_pkg_dir, options.output_name)
        };
        Self {
            style_sheet: file("css"),
            script: file("js"),
            wasm: file("wasm"),
            build: hash_of("wasm").unwrap_or_else(|| env!("CARGO_PKG_VERSION").into()),
        }
    }
}
