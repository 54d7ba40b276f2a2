use super::*;
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use tokio::net::TcpListener;

/// Calls a broker that answers the first request with `answer`, a frame without its length.
async fn call<R: Request>(version: i16, request: R, answer: &[u8]) -> Result<R::Response, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let broker = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let frame = [&(answer.len() as i32).to_be_bytes(), answer].concat();
        stream.write_all(&frame).await.unwrap();
        stream
    };
    let client = async {
        let mut connection = Connection::connect(address, "test").await.unwrap();
        let answer = connection.call(version, &request).await;
        answer.map_err(|error| error.to_string())
    };
    let (answer, _stream) = tokio::join!(client, broker);
    answer
}

#[tokio::test]
async fn a_broker_that_answers_garbage_gives_a_clear_error() {
    let metadata = async |version, answer: &[u8]| {
        let answer = call(version, MetadataRequest::default(), answer).await;
        answer.unwrap_err()
    };
    // No topics, but two billion brokers.
    let answer = [0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(
        metadata(0, &answer).await,
        "Metadata v0 response, brokers at byte 0: 2147483647 elements with 4 bytes left"
    );
    // A header with four billion tagged fields.
    let answer = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 9, 0];
    assert_eq!(
        metadata(12, &answer).await,
        "response: the header needs 1 bytes, 0 are left"
    );
    assert_eq!(
        metadata(0, &[0, 0]).await,
        "response: the header needs 4 bytes, 2 are left"
    );
    // The answer to another version: that one has no throttle time in front.
    let answer = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        metadata(0, &answer).await,
        "Metadata v0 response, byte 8: 4 bytes follow the body"
    );
    assert_eq!(
        metadata(0, &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]).await,
        "response to request 7 where 0 was expected"
    );
}

#[tokio::test]
async fn an_answer_in_its_version_is_taken() {
    let answer = [0, 0, 0, 0, 0, 0, 2, 0, 18, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0];
    let response = call(3, ApiVersionsRequest::default(), &answer).await;
    let response = response.unwrap();
    assert_eq!((response.error_code, response.api_keys.len()), (0, 1));
    assert_eq!(response.api_keys[0].api_key, 18);
}
