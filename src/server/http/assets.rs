//! Static files: the compiled page, pictures, icons and fonts. What is no file is answered with the 404 page.

use super::pages::page;
use crate::server::state::AppState;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
};
use tower::{ServiceBuilder, service_fn};
use tower_http::services::ServeDir;

pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let options = &state.leptos;
    let cached = |cache_control: HeaderValue| {
        from_fn(move |request: Request, next: Next| {
            let cache_control = cache_control.clone();
            async move {
                let mut response = next.run(request).await;
                if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
                    response.headers_mut().insert(header::CACHE_CONTROL, cache_control);
                }
                response
            }
        })
    };
    let files = ServeDir::new(&*options.site_root)
        .append_index_html_on_directories(false)
        .precompressed_br()
        .precompressed_gzip();
    let not_found = {
        let state = state.clone();
        service_fn(move |request| {
            let page = page(State(state.clone()), request);
            async { Ok(page.await) }
        })
    };
    let package = if options.hash_files { IMMUTABLE } else { NO_CACHE };
    let mut router = Router::new().route_service(
        &format!("/{}/{{*file}}", options.site_pkg_dir),
        ServiceBuilder::new().layer(cached(package)).service(files.clone()),
    );
    for directory in HASHED {
        router = router.route_service(
            &format!("/{directory}/{{*file}}"),
            ServiceBuilder::new().layer(cached(IMMUTABLE)).service(files.clone().fallback(not_found.clone())),
        );
    }
    router.fallback_service(ServiceBuilder::new().layer(cached(ONE_DAY)).service(files.fallback(not_found)))
}

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
    use super::HASHED;
    use sha2::{Digest, Sha256};
    use std::fs;

    /// A picture's PNG for link previews has the name of the SVG.
    #[test]
    fn files_that_are_cached_for_ever_are_named_after_their_contents() {
        for directory in HASHED {
            for file in fs::read_dir(format!("public/{directory}")).expect("the directory exists") {
                let path = file.expect("readable").path();
                let name = path.file_name().and_then(|name| name.to_str()).expect("ASCII");
                let described = if name.ends_with(".png") { path.with_extension("svg") } else { path.clone() };
                let hash = Sha256::digest(fs::read(described).expect("readable"));
                let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(name.contains(&format!(".{hash}.")) || name == "LICENSE.txt", "{name} should contain {hash}");
            }
        }
    }
}
