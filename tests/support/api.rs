//! The REST API as an external client calls it.

use super::{
    answer::{Answer, id_of, send},
    people::Person,
    wait::DEADLINE,
};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, redirect::Policy};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::time::Instant;

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    http: Client,
}

pub(crate) const ADMIN_TOKEN: &str = "an admin token for tests";

impl Api {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, http: build_client(Client::builder()) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Builds a request without credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Sends a GET request without credentials.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON with a bearer token.
    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).bearer_auth(token).json(&body)).await
    }

    /// Claims a new account.
    pub(crate) async fn sign_in(&self, username: &str) -> Person {
        let request = self.request(Method::POST, "/api/users/get-or-create").json(&json!({ "username": username }));
        let answer = send(request).await.expect_status(200);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Person {
            id: id_of(&answer.json["user"]),
            username: text(&answer.json["user"]["username"]),
            token: text(&answer.json["token"]),
        }
    }

    /// Creates a drop as the admin and returns its JSON.
    pub(crate) async fn create_drop(&self, body: Value) -> Value {
        self.post("/api/drops", ADMIN_TOKEN, body).await.expect_status(201).json["drop"].take()
    }

    /// Creates a drop of one size that is on sale, and returns its id.
    pub(crate) async fn create_open_drop(&self, stock: i32) -> i64 {
        id_of(&self.create_drop(json!({ "name": "Volt Runner", "priceCents": 19_900, "totalStock": stock })).await)
    }

    pub(crate) async fn reserve(&self, person: &Person, drop_id: i64) -> Answer {
        self.call(Method::POST, &format!("/api/drops/{drop_id}/reserve"), person, json!({})).await
    }

    pub(crate) async fn reserve_size(&self, person: &Person, drop_id: i64, size: &str) -> Answer {
        self.call(Method::POST, &format!("/api/drops/{drop_id}/reserve"), person, json!({ "size": size })).await
    }

    pub(crate) async fn purchase(&self, person: &Person, drop_id: i64) -> Answer {
        self.call(Method::POST, &format!("/api/drops/{drop_id}/purchase"), person, json!({})).await
    }

    pub(crate) async fn purchase_reservation(&self, person: &Person, reservation_id: i64) -> Answer {
        self.call(Method::POST, "/api/drops/purchase", person, json!({ "reservationId": reservation_id })).await
    }

    pub(crate) async fn release(&self, person: &Person, drop_id: i64) -> Answer {
        self.call(Method::DELETE, &format!("/api/drops/{drop_id}/reservation"), person, json!({})).await
    }

    /// Repeats the request while the answer is `unavailable`: nothing was changed then, and a slow machine may be
    /// overloaded.
    async fn call(&self, method: Method, path: &str, person: &Person, body: Value) -> Answer {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let answer = send(self.request(method.clone(), path).bearer_auth(&person.token).json(&body)).await;
            if answer.code() != "unavailable" || Instant::now() > deadline {
                return answer;
            }
        }
    }
}

/// Builds an HTTP client that waits at most [`DEADLINE`] and returns redirects instead of following them.
pub(crate) fn build_client(builder: ClientBuilder) -> Client {
    builder.no_proxy().timeout(DEADLINE).redirect(Policy::none()).build().expect("a client without TLS can be built")
}
