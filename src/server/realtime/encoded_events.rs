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
        let mut bytes = vec![];
        for event in events {
            let text = serde_json::to_vec(event).expect("every event can be written as JSON");
            let frame = WireFrame::message(text, OpCode::Data(Data::Text), true);
            frame.format(&mut bytes).expect("writing to memory cannot fail");
        }
        Self { bytes: bytes.into(), count: events.len() }
    }
}
