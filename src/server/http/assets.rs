//! Static files: the compiled page, pictures, icons and fonts. What is no file is answered with the 404 page.

use super::pages::page;
use crate::server::state::AppState;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::convert::Infallible;
use tower::{ServiceExt, service_fn};
use tower_http::services::ServeDir;

pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let files = ServeDir::new(&*state.leptos.site_root)
        .append_index_html_on_directories(false)
        .precompressed_br()
        .precompressed_gzip();
    Router::new().fallback(async move |State(state): State<AppState>, request: Request| {
        file_or_page(files, state, request).await
    })
}

async fn file_or_page(files: ServeDir, state: AppState, mut request: Request) -> Response {
    let path = request.uri().path();
    if !may_be_a_file(path) {
        return page(State(state), request).await;
    }
    let cache_control = cache_control(path, &state.leptos.site_pkg_dir, state.leptos.hash_files);
    // The files are small, and a server need not send parts of one (RFC 9110, 14.2).
    request.headers_mut().remove(header::RANGE);
    let not_found = service_fn(move |request: Request| {
        let page = page(State(state.clone()), request);
        async { Ok::<_, Infallible>(page.await) }
    });
    let mut response = match files.fallback(not_found).oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    };
    response.headers_mut().remove(header::ACCEPT_RANGES);
    if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(header::CACHE_CONTROL, cache_control);
    }
    response
}

/// Whether a file may have this path. Others are not asked for: what no file system takes as a name would be a fault.
fn may_be_a_file(path: &str) -> bool {
    path.len() <= MAX_PATH_BYTES
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_'))
}

fn cache_control(path: &str, package: &str, has_hashed_package: bool) -> HeaderValue {
    match path.split('/').nth(1) {
        Some(directory) if HASHED.contains(&directory) => IMMUTABLE,
        Some(directory) if directory == package && has_hashed_package => IMMUTABLE,
        Some(directory) if directory == package => NO_CACHE,
        _ => ONE_DAY,
    }
}

/// As long as the name of a file may be.
const MAX_PATH_BYTES: usize = 255;

/// Directories of `public` whose files have a hash of their contents in their names.
const HASHED: [&str; 3] = ["art", "fonts", "shoes"];

/// For files whose names contain a hash of their contents.
pub(super) const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// For the same files during development, when names stay and a change must show at once.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// For icons, which keep their names: a change shows within a day.
const ONE_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::fs;

    /// A picture's PNG for link previews has the name of the SVG.
    #[test]
    fn files_that_are_cached_for_ever_are_named_after_their_contents() {
        for directory in HASHED {
            for file in fs::read_dir(format!("public/{directory}")).expect("the directory exists") {
                let path = file.expect("readable").path();
                let name = path.file_name().and_then(|name| name.to_str()).expect("ASCII");
                assert!(may_be_a_file(&format!("/{directory}/{name}")), "{name}");
                let described = if name.ends_with(".png") { path.with_extension("svg") } else { path.clone() };
                let hash = Sha256::digest(fs::read(described).expect("readable"));
                let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(name.contains(&format!(".{hash}.")) || name == "LICENSE.txt", "{name} should contain {hash}");
            }
        }
    }

    #[test]
    fn only_what_a_file_may_be_called_is_looked_for() {
        for path in ["/favicon.ico", "/pkg/sneakdrop.1a-_B.wasm", "/a/../b"] {
            assert!(may_be_a_file(path), "{path}");
        }
        for path in ["/%00", "/a%2Fb", "/%ff", "/a b", "/\u{e9}", &"/a".repeat(128), &format!("/{}", "a".repeat(256))] {
            assert!(!may_be_a_file(path), "{path}");
        }
    }

    #[test]
    fn files_are_cached_as_long_as_their_names_stand_for_their_contents() {
        for (path, is_hashed, expected) in [
            ("/pkg/sneakdrop.wasm", true, IMMUTABLE),
            ("/pkg/sneakdrop.wasm", false, NO_CACHE),
            ("/shoes/halo-air.a62842e5.svg", false, IMMUTABLE),
            ("/favicon.ico", true, ONE_DAY),
            ("/shoes", true, IMMUTABLE),
            ("/package/x", true, ONE_DAY),
        ] {
            assert_eq!(cache_control(path, "pkg", is_hashed), expected, "{path}");
        }
    }
}
