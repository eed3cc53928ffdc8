//! Settings of the environment and of a `.env` file.

use std::{env, fs, process::Command};

#[test]
fn missing_settings_are_neither_in_the_environment_nor_in_dotenv() {
    for (dotenv, environment, missing) in [
        ("", &[][..], "DATABASE_URL ADMIN_TOKEN SESSION_KEY"),
        ("PORT=4000\nADMIN_TOKEN='sixteen characters'\n", &[], "DATABASE_URL SESSION_KEY"),
        ("export DATABASE_URL=\"postgres://127.0.0.1/shop\" # ours\n", &[], "ADMIN_TOKEN SESSION_KEY"),
        ("DB_NAME=shop\nDB_USER=shop\n", &[("SESSION_KEY", "x")], "ADMIN_TOKEN"),
        ("DATABASE_URL=\n", &[("ADMIN_TOKEN", "")], "DATABASE_URL ADMIN_TOKEN SESSION_KEY"),
        ("", &[("DB_HOST", "db.test"), ("ADMIN_TOKEN", "x")], "SESSION_KEY"),
    ] {
        let (output, _) = run(dotenv, environment, &["--missing"]);
        assert_eq!(output.split_whitespace().collect::<Vec<_>>().join(" "), missing, "{dotenv:?} {environment:?}");
    }
}

#[test]
fn environment_precedes_dotenv_also_where_they_name_the_database_differently() {
    let parts = [("DB_NAME", "shop"), ("DB_USER", "shop"), ("DB_PORT", "many")];
    let (_, error) = run("DATABASE_URL=nonsense\n", &parts, &[]);
    assert_eq!(error.lines().last(), Some("sneakdrop: DB_PORT=many is not a port number"));
    let url = [("DATABASE_URL", "nonsense")];
    let (_, error) = run("DB_NAME=shop\nDB_USER=shop\nDB_PORT=many\n", &url, &[]);
    assert!(error.contains("DATABASE_URL is not a PostgreSQL address"), "{error}");
}

/// What one reader takes as it is and another replaces by a variable.
#[test]
fn dollar_in_dotenv_has_one_meaning_or_is_refused() {
    for (value, is_fine) in [
        ("'sixteen$characters'", true),
        (r"sixteen\$characters", true),
        (r#""it's\$sixteen characters""#, true),
        ("sixteencharacters # costs $5", true),
        ("sixteen$characters", false),
        ("\"sixteen characters $here\"", false),
        ("\"it's sixteen $characters\"", false),
        ("sixteencharacters${X}", false),
        ("'sixteen'characters$", false),
    ] {
        let (missing, error) = run(&format!("# $5\n\nADMIN_TOKEN={value}\n"), &[], &["--missing"]);
        assert_eq!(missing.contains("DATABASE_URL"), is_fine, "{value}: {error}");
        assert_eq!(error.contains(".env, line 3"), !is_fine, "{value}: {error}");
        assert!(!error.contains("sixteen"), "a secret was printed: {error}");
    }
}

/// Runs the server where there is this `.env` file, with nothing else in its environment; returns what it printed and its
/// errors.
fn run(dotenv: &str, environment: &[(&str, &str)], arguments: &[&str]) -> (String, String) {
    static RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let run = RUNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("sneakdrop-configuration-{}-{run}", std::process::id()));
    fs::create_dir(&directory).expect("a new directory");
    fs::write(directory.join(".env"), dotenv).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_sneakdrop"))
        .current_dir(&directory)
        .env_clear()
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .expect("the server runs");
    fs::remove_dir_all(&directory).expect("removable");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}
