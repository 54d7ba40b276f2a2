//! `tidemark cluster`, and the ways to a cluster: addresses, TLS, SASL.

use integration_tests::harness::cluster::{Cluster, for_each_cluster};
use integration_tests::harness::kafka::USER;
use serde_json::json;

use super::{Cli, command, said};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_is_described() {
    for_each_cluster(async |cluster| {
        let cli = Cli::of(cluster);
        let bootstrap = cluster.bootstrap();
        let told = cli.ok(&["cluster", "info"]);
        assert!(told.starts_with("cluster     "), "{told}");
        for text in ["controller  1\n", "BROKER  ADDRESS", &bootstrap, "running"] {
            assert!(told.contains(text), "{text:?}: {told}");
        }
        let told = cli.json(&["cluster", "info"]);
        let (host, port) = bootstrap.rsplit_once(':').unwrap();
        let broker = json!({
            "id": 1,
            "host": host,
            "port": port.parse::<u16>().unwrap(),
            "rack": null,
            "fenced": false,
        });
        let expected = json!({
            "cluster_id": told["cluster_id"],
            "controller": 1,
            "brokers": [broker],
        });
        assert_eq!(told, expected);
        assert_eq!(told["cluster_id"].as_str().unwrap().len(), 22);
        let told = cli.json(&["cluster", "info", "--apis"]);
        let apis = told["brokers"][0]["apis"].as_array().unwrap();
        let fetch = apis.iter().find(|api| api["name"] == "Fetch").unwrap();
        assert_eq!((&fetch["key"], &fetch["min"]), (&json!(1), &json!(4)));
        let told = cli.ok(&["cluster", "info", "--apis"]);
        assert!(told.contains("APIs of broker 1\nKEY  API"), "{told}");
        // The address from the environment, and options between the commands.
        let mut command = command();
        command.env("TIDEMARK_BOOTSTRAP", &bootstrap);
        let said = said(command.args(["cluster", "--output", "json", "--timeout", "1m", "info"]));
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&said.output).unwrap(),
            expected
        );
    })
    .await;
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let there = [
        "cluster",
        "info",
        "--bootstrap",
        "127.0.0.1:1",
        "--timeout",
        "300ms",
    ];
    for output in ["table", "json"] {
        let said = said(command().args(there).args(["--output", output]));
        assert_eq!((said.code, &*said.output), (Some(1), ""));
        for text in [
            "127.0.0.1:1",
            "300ms",
            "refused",
            "--bootstrap",
            "TIDEMARK_BOOTSTRAP",
        ] {
            assert!(said.errors.contains(text), "{text:?}: {said:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_sasl_lead_to_a_secure_cluster() {
    let kafka = match Cluster::shared_kafka().await {
        Ok(Cluster::SharedKafka(kafka)) => kafka,
        Ok(_) => unreachable!("it is shared"),
        Err(missing) => return eprintln!("left out: {missing}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = write("ca.pem", kafka.authority().pem());
    let identity = kafka.authority().issue("cli", &[]);
    let (cert, key) = (
        write("cert.pem", &identity.certificate),
        write("key.pem", &identity.key),
    );
    let (user, password) = USER;
    let (right, wrong) = (
        write("right", &format!("{password}\n")),
        write("wrong", "wrong"),
    );
    let ask = |listener: &str, options: &[&str]| {
        let address = kafka.listener(listener);
        said(
            command()
                .args(["cluster", "info", "--bootstrap", address])
                .args(options),
        )
    };
    let good = |listener: &str, options: &[&str]| {
        let said = ask(listener, options);
        assert_eq!(said.code, Some(0), "{listener} {options:?}: {said:?}");
    };
    let bad = |listener: &str, options: &[&str], texts: &[&str]| {
        let said = ask(listener, options);
        assert_eq!(
            (said.code, &*said.output),
            (Some(1), ""),
            "{listener} {options:?}: {said:?}"
        );
        for text in texts {
            assert!(said.errors.contains(text), "{text:?}: {said:?}");
        }
    };
    good("SSL", &["--tls-ca", &ca]);
    good(
        "MTLS",
        &["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key],
    );
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "scram-sha-512"] {
        let sasl = [
            "--sasl-mechanism",
            mechanism,
            "--user",
            user,
            "--password-file",
            &right,
        ];
        good("SASL_PLAINTEXT", &sasl);
        good("SASL_SSL", &[&["--tls-ca", &ca], &sasl[..]].concat());
    }
    let sasl = ["--sasl-mechanism", "PLAIN", "--user", user];
    let mut command = command();
    command.env("TIDEMARK_PASSWORD", password);
    let address = kafka.listener("SASL_PLAINTEXT");
    let said = said(
        command
            .args(["cluster", "info", "--bootstrap", address])
            .args(sasl),
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    let wrong = [&sasl[..], &["--password-file", &wrong]].concat();
    bad("SASL_PLAINTEXT", &wrong, &[user, "PLAIN", "the password"]);
    bad("SSL", &["--tls-ca", &cert], &["certificate", "--tls-ca"]);
    bad(
        "PLAINTEXT",
        &["--tls-ca", &ca, "--timeout", "2s"],
        &["plaintext"],
    );
    bad("SSL", &["--timeout", "2s"], &[kafka.listener("SSL")]);
}
