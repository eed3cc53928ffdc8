//! For a page whose server has become newer than it can read.

use super::live::flag;
use crate::{
    client::schedule::effect,
    client::store::{ConnectionStatus, Store},
    text,
    ui::actions::{Actions, storage},
};
use leptos::prelude::*;

/// Offers to reload the page, and does so once by itself when nothing is at stake.
#[component]
pub fn NewVersion() -> impl IntoView {
    let store = expect_context::<Store>();
    let actions = expect_context::<Actions>();
    let is_outdated = move || store.connection.get() == ConnectionStatus::Outdated;
    effect(move || {
        // Asked again with every tick: what is at stake comes to an end.
        let is_idle = is_outdated() && store.reservations.with(Vec::is_empty) && {
            store.clock.now();
            // Not valid in browsers that know no popovers.
            let open_dialog = document().query_selector(":popover-open").ok().flatten();
            !actions.is_busy() && open_dialog.is_none()
        };
        // Without storage the page could not tell that it has reloaded already.
        if is_idle
            && let (Some(storage), Some(build)) = (storage(), build())
            && storage.get_item(RELOADED).is_ok_and(|reloaded| reloaded.as_ref() != Some(&build))
            && storage.set_item(RELOADED, &build).is_ok()
        {
            // Browsers refuse this only while the document is being replaced already.
            let _ = window().location().reload();
        }
    });
    view! {
        <div class="notice" role="alert" hidden=flag(move || !is_outdated())>
            <p>{text::NEW_VERSION}</p>
            // To this address: a new document.
            <form method="get">
                <button class="secondary">{text::RELOAD}</button>
            </form>
        </div>
    }
}

/// The address of the page's script, which has a hash in its name.
fn build() -> Option<String> {
    document().query_selector("script[data-page]").ok()??.get_attribute("data-page")
}

/// The key in the session's storage of the build that has reloaded by itself. `load_module.js` uses it as well.
const RELOADED: &str = "sneakdrop.reloaded";
