//! The start of the page in the browser, by the script in the document's head: [`read`], [`show_top`] and [`show_rest`]. A document
//! that is hydrated has each in a task of its own, because on a slow phone all of it takes long enough that a tap in the middle
//! would be felt to hang. One that is rendered anew has the last two in one, so that it is never seen in part.

use crate::{
    client::{json, schedule},
    ui::app::{App, FIRST_PAINT, MAIN, ROOT},
};
use leptos::{prelude::*, tachys::view::Position};
use std::{
    cell::{OnceCell, RefCell},
    mem,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use web_sys::Element;

thread_local! {
    static ON_PANIC: OnceCell<js_sys::Function> = const { OnceCell::new() };
    /// Between the steps.
    static STARTING: RefCell<Option<Starting>> = const { RefCell::new(None) };
}

struct Starting {
    owner: Owner,
    app: App,
    is_intact: bool,
}

/// Reads what the page was rendered from. After a panic the module is dead, and `on_panic` is called with its message.
#[wasm_bindgen]
pub fn read(on_panic: js_sys::Function) {
    ON_PANIC.with(|known| known.set(on_panic)).expect("a module is started once");
    std::panic::set_hook(Box::new(|panic| {
        let panic = panic.to_string().into();
        ON_PANIC.with(|on_panic| on_panic.get().map(|on_panic| on_panic.call1(&JsValue::NULL, &panic)));
    }));
    // An error says that it is there already.
    let _ = any_spawner::Executor::init_wasm_bindgen();
    let data = element(FIRST_PAINT).text_content().unwrap_or_default();
    let first_paint = json::read(&data).expect("the first paint is that of this build");
    schedule::hold_effects();
    let owner = Owner::new();
    let app = owner.with(|| App::new(first_paint));
    STARTING.set(Some(Starting { owner, app, is_intact: false }));
}

/// `is_intact`: whether the document is as it was served. Then it is hydrated; otherwise it would be bound to the wrong elements,
/// and is rendered anew.
#[wasm_bindgen]
pub fn show_top(is_intact: bool) {
    STARTING.with_borrow_mut(|starting| {
        let starting = starting.as_mut().expect("it was read");
        starting.is_intact = is_intact;
        let root = element(ROOT);
        if !is_intact {
            root.set_inner_html("");
        }
        starting.owner.with(|| show(starting.app.top(), is_intact, &root, Position::FirstChild));
    });
}

/// Nothing may have changed the rest of the document since the top was hydrated. Then the page becomes live.
#[wasm_bindgen]
pub fn show_rest() {
    let Starting { owner, app, is_intact } = STARTING.take().expect("the top was shown");
    let place = if is_intact { element(MAIN) } else { element(ROOT) };
    owner.with(|| show(app.rest(), is_intact, &place, Position::Current));
    schedule::run_effects();
    // The page is never left but with its document.
    mem::forget(owner);
}

fn show<V: IntoView>(view: V, is_intact: bool, place: &Element, position: Position) {
    let view = view.into_view();
    if is_intact {
        mem::forget(view.hydrate_from_position::<true>(place, position));
    } else {
        let mut state = view.build();
        state.mount(place, None);
        mem::forget(state);
    }
}

fn element(id: &str) -> Element {
    document().get_element_by_id(id).expect("the document has it")
}
