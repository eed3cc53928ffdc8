use crate::support::Node;
use sqlx::PgPool;

#[sqlx::test]
async fn healthy_node_is_live_and_ready(db: PgPool) {
    let node = Node::start(&db).await;
    assert_eq!(node.get("/healthz").await.expect_status(200).json["status"], "ok");
    assert_eq!(node.get("/readyz").await.expect_status(200).json["status"], "ready");
    node.stop_and_assert_invariants().await;
}
