use super::*;

const MAP: &str = "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,OUTSIDE:plaintext,SSL:SSL,LOGIN:SASL_SSL";

fn parse(
    listeners: &str,
    advertised: Option<&str>,
    map: &str,
) -> Result<(Vec<Listener>, Vec<Listener>), ConfigError> {
    let entries = java::split_list(listeners);
    let advertised = advertised.map(java::split_list);
    super::listeners(&Settings {
        listeners: &entries,
        advertised: advertised.as_deref(),
        protocol_map: map,
    })
}

fn show(listeners: &[Listener]) -> String {
    listeners
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// `expected` is what is opened and what is advertised, or a part of the error.
fn check(listeners: &str, advertised: Option<&str>, expected: Result<(&str, &str), &str>) {
    match (parse(listeners, advertised, MAP), expected) {
        (Ok((open, told)), Ok((expected_open, expected_told))) => {
            assert_eq!(show(&open), expected_open);
            assert_eq!(show(&told), expected_told);
        }
        (Err(error), Err(part)) => {
            assert!(error.to_string().contains(part), "{listeners}: {error}");
        }
        (found, expected) => panic!("{listeners}: {found:?} instead of {expected:?}"),
    }
}

#[test]
fn addresses_of_every_kind() {
    let same = |text: &str| check(text, None, Ok((text, text)));
    same("PLAINTEXT://127.0.0.1:9092");
    same("PLAINTEXT://[::1]:9092");
    same("PLAINTEXT://[fe80::1%eth0]:9092");
    same("PLAINTEXT://broker-1.example_lan:9092");
    same("PLAINTEXT://:9092");
    same("PLAINTEXT://127.0.0.1:0");
    same("INSIDE://:1,OUTSIDE://:2");
    same("INSIDE://127.0.0.1:1,OUTSIDE://[::1]:1");
    same("INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0");
    check("inside://h:1", None, Ok(("INSIDE://h:1", "INSIDE://h:1")));
}

#[test]
fn what_is_parsed_has_no_brackets() {
    let (open, _) = parse("PLAINTEXT://[::1]:9092", None, MAP).expect("a listener");
    assert_eq!(open[0].host, "::1");
    assert_eq!(open[0].port, 9092);
    assert_eq!(open[0].protocol, SecurityProtocol::Plaintext);
}

#[test]
fn mistakes_are_named() {
    let bad = |text: &str, part: &str| check(text, None, Err(part));
    bad(
        "PLAINTEXT:9092",
        "Invalid value PLAINTEXT:9092 for configuration listeners",
    );
    bad("PLAINTEXT://h", "expected host:port");
    bad(
        "PLAINTEXT://h:x",
        "the port must be a number from 0 to 65535",
    );
    bad(
        "PLAINTEXT://h:65536",
        "the port must be a number from 0 to 65535",
    );
    bad(
        "PLAINTEXT://h:-1",
        "the port must be a number from 0 to 65535",
    );
    bad(
        "PLAINTEXT://h:+1",
        "the port must be a number from 0 to 65535",
    );
    bad(
        "PLAINTEXT://::1:9092",
        "an IPv6 address must stand in brackets",
    );
    bad("PLAINTEXT://[::1:9092", "expected host:port");
    bad(
        "PLAINTEXT://[localhost]:9092",
        "'localhost' in brackets is not an IPv6 address",
    );
    bad(
        "PLAINTEXT://a/b:9092",
        "'a/b' is not a host name or an address",
    );
    bad(
        "OTHER://h:1",
        "No security protocol defined for listener OTHER; add OTHER:PLAINTEXT",
    );
    bad(
        "SSL://h:1",
        "the security protocol SSL of listener SSL is not served yet",
    );
    bad(
        "LOGIN://h:1",
        "the security protocol SASL_SSL of listener LOGIN is not served yet",
    );
    bad(
        "INSIDE://h:1,INSIDE://h:2",
        "each listener must have a different name",
    );
    bad(
        "INSIDE://:1,OUTSIDE://:1",
        "each listener must have a different port",
    );
    bad(
        "INSIDE://127.0.0.1:1,OUTSIDE://127.0.0.2:1",
        "each listener must have a different port",
    );
    bad(
        "INSIDE://h:1,OUTSIDE://[::1]:1",
        "each listener must have a different port",
    );
}

#[test]
fn the_protocol_map_is_read() {
    let bad = |map: &str, part: &str| {
        let error = parse("PLAINTEXT://h:1", None, map)
            .expect_err(map)
            .to_string();
        assert!(
            error.contains("configuration listener.security.protocol.map"),
            "{error}"
        );
        assert!(error.contains(part), "{error}");
    };
    bad("PLAINTEXT", "expected NAME:PROTOCOL");
    bad("PLAINTEXT:TLS", "the protocol must be one of");
    assert!(
        parse("PLAINTEXT://h:1", None, "").is_err(),
        "no name is mapped"
    );
}

#[test]
fn what_is_advertised_can_be_reached() {
    let open = "INSIDE://0.0.0.0:1,OUTSIDE://[::]:2";
    let told = "INSIDE://a.example:1,OUTSIDE://[2001:db8::1]:2";
    check(open, Some(told), Ok((open, told)));
    check(open, Some("OUTSIDE://b:0"), Ok((open, "OUTSIDE://b:0")));
    check(
        "INSIDE://:1",
        Some("INSIDE://:1"),
        Ok(("INSIDE://:1", "INSIDE://:1")),
    );
    check(
        "PLAINTEXT://0.0.0.0:9092",
        None,
        Err(
            "set advertised.listeners with a host name or an address they can reach, as in \
             PLAINTEXT://localhost:9092",
        ),
    );
    check(
        "PLAINTEXT://[::]:9092",
        None,
        Err("clients cannot connect to the meta-address ::"),
    );
    check(
        open,
        Some("INSIDE://0.0.0.0:1"),
        Err("clients cannot connect to the meta-address 0.0.0.0; use a host name"),
    );
    check(
        open,
        Some("PLAINTEXT://h:1"),
        Err("the listener's name must be one of listeners: INSIDE, OUTSIDE"),
    );
    check(
        open,
        Some("INSIDE://a:5,OUTSIDE://b:5"),
        Ok((open, "INSIDE://a:5,OUTSIDE://b:5")),
    );
}

proptest::proptest! {
    #[test]
    fn no_text_panics(
        list in "([A-Z]{0,9}(://)?[\\[\\]:0-9a-f.%é]{0,20}:?[0-9]{0,6},?){0,3}|.{0,40}",
        map in "([A-Z]{0,9}:?[A-Z_]{0,14},?){0,3}|.{0,40}",
    ) {
        if let Ok((open, _)) = parse(&list, None, &map) {
            let again = parse(&show(&open), None, &map).expect("what is printed can be read");
            proptest::prop_assert_eq!(again.0, open);
        }
    }
}
