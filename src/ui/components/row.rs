//! One line of a list of orders or of past drops.

use crate::ui::router::Page;
use leptos::prelude::*;

/// A drop with what is said about it, first what matters and then the rest.
pub fn row(drop_id: i64, name: String, image_url: Option<String>, first: String, then: String) -> impl IntoView {
    view! {
        <li>
            {image_url.map(|url| view! { <img src=url alt="" width="800" height="500" loading="lazy" /> })}
            <div>
                <h2>
                    <a href=Page::Drop(drop_id).to_string()>{name}</a>
                </h2>
                <p>{first}</p>
                <p class="quiet">{then}</p>
            </div>
        </li>
    }
}
