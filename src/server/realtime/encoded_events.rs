//! Events as they are written to every connection.

use crate::domain::event::ServerEvent;
use axum::body::Bytes;
use tungstenite::protocol::frame::{
    Frame as WireFrame,
    coding::{Data, OpCode},
};

/// Events as WebSocket frames. They are the same for every connection, as a server does not mask its frames.
#[derive(Clone)]
pub(super) struct EncodedEvents {
    pub(super) bytes: Bytes,
    pub(super) count: usize,
}

impl EncodedEvents {
    pub(super) fn of(events: &[ServerEvent]) -> Self {
        let texts = events.iter().map(|event| serde_json::to_vec(event).expect("every event can be written as JSON"));
        Self::of_texts(texts)
    }

    /// A frame for each text.
    pub(super) fn of_texts(texts: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        let (mut bytes, mut count) = (vec![], 0);
        for text in texts {
            let frame = WireFrame::message(text, OpCode::Data(Data::Text), true);
            frame.format(&mut bytes).expect("writing to memory cannot fail");
            count += 1;
        }
        Self { bytes: bytes.into(), count }
    }
}
