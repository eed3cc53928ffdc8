//! Environment -> [`Config`]. A bad value stops the start with one line that names the variable.

use super::{
    auth::origin::{Origin, Origins},
    inventory::Strategy,
};
use sqlx::postgres::PgConnectOptions;
use std::{env, fmt, net::SocketAddr, path::Path, str::FromStr, time::Duration};

/// The configuration of a node.
#[derive(Clone)]
pub struct Config {
    pub database: PgConnectOptions,
    /// Where to listen. Loopback unless `LISTEN_HOST` names another address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a reservation holds its pair.
    pub reservation_ttl: Duration,
    /// The longest that a reservation may stay active after it expired, if the timer does not know of it.
    pub expiry_interval: Duration,
    /// The bearer token of the shop's other services, and what people sign in with at `/admin`; without one, nobody is admin.
    pub admin_token: Option<String>,
    /// Signs sessions, together with the database's own secret. Nodes that share both accept each other's visitors.
    pub session_key: Vec<u8>,
    pub origins: Origins,
    /// Whether clients may connect by Socket.IO.
    pub has_socket_io: bool,
    /// In whose shape `GET /api/drops` lists the drops.
    pub dialect: Dialect,
    /// Insert sample users and drops when there are no drops.
    pub seed: bool,
    pub strategy: Strategy,
}

impl Config {
    /// Reads the environment, completed by a `.env` file where there is one, and the command line: `--seed`, and
    /// `--plain` for the benchmark.
    pub fn from_env() -> Result<Self, ConfigError> {
        let database = load_dotenv()?;
        let (mut seed, mut strategy) = (false, Strategy::Batched);
        for argument in env::args().skip(1) {
            match argument.as_str() {
                "--seed" => seed = true,
                "--plain" => strategy = Strategy::Plain,
                other => return Err(ConfigError(format!("unknown argument {other}; there are --seed and --plain"))),
            }
        }
        Ok(Self {
            database: database.options()?,
            listen: SocketAddr::new(
                parsed("LISTEN_HOST", "127.0.0.1", "an IP address")?,
                parsed("PORT", "3000", "a port number from 0 to 65535")?,
            ),
            reservation_ttl: Duration::from_secs(in_range("RESERVATION_TTL_SECONDS", 60, 1, 86_400)?),
            expiry_interval: Duration::from_millis(in_range(
                "RESERVATION_EXPIRY_JOB_INTERVAL_MS",
                5_000,
                10,
                3_600_000,
            )?),
            admin_token: variable("ADMIN_TOKEN")?.map(long_enough("ADMIN_TOKEN", 16)).transpose()?,
            session_key: match variable("SESSION_KEY")?.map(long_enough("SESSION_KEY", 32)).transpose()? {
                Some(key) => key.into_bytes(),
                None => {
                    tracing::warn!("SESSION_KEY is not set: sign-ins end with this process and hold on this node only");
                    let mut key = vec![0; 32];
                    getrandom::fill(&mut key).map_err(|error| ConfigError(format!("no random numbers: {error}")))?;
                    key
                }
            },
            origins: Origins {
                public: variable("PUBLIC_ORIGIN")?.map(|value| origin("PUBLIC_ORIGIN", &value)).transpose()?,
                foreign: match variable("CORS_ORIGIN")? {
                    Some(list) => {
                        list.split(',').map(|value| origin("CORS_ORIGIN", value.trim())).collect::<Result<_, _>>()?
                    }
                    None => vec![],
                },
            },
            has_socket_io: one_of("SOCKET_IO", [("on", true), ("off", false)])?,
            dialect: one_of("API_DIALECT", [("1", Dialect::One), ("2", Dialect::Two)])?,
            seed,
            strategy,
        })
    }
}

/// Two systems whose clients call this one, and which had different answers at the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Also ours.
    One,
    Two,
}

/// Names the settings that are not set and have no default but what `script/server` brings.
pub fn missing() -> Result<Vec<&'static str>, ConfigError> {
    let database = load_dotenv()?;
    let mut missing = vec![];
    if matches!(database, DatabaseSetting::Missing) {
        missing.push("DATABASE_URL");
    }
    for name in ["ADMIN_TOKEN", "SESSION_KEY"] {
        if variable(name)?.is_none() {
            missing.push(name);
        }
    }
    Ok(missing)
}

/// Completes the environment by a `.env` file where there is one.
fn load_dotenv() -> Result<DatabaseSetting, ConfigError> {
    // What the environment says precedes the file, also where it says it in other variables.
    let environment = DatabaseSetting::read()?;
    // Here or in a directory above, as dotenvy looks for it.
    let directory = env::current_dir().unwrap_or_default();
    if let Some(file) = directory.ancestors().map(|directory| directory.join(".env")).find(|file| file.is_file()) {
        refuse_substitutions(&file)?;
        dotenvy::from_path(file).map_err(|error| match error {
            // The line may be a secret.
            dotenvy::Error::LineParse(..) => ConfigError(".env has a line that cannot be read".into()),
            error => ConfigError(format!(".env: {error}")),
        })?;
    }
    match environment {
        DatabaseSetting::Missing => DatabaseSetting::read(),
        environment => Ok(environment),
    }
}

/// Refuses a `$` in `.env` where it would stand for a variable: other readers of such files take it as it is, and a secret
/// that was cut would be a shorter one than was written.
fn refuse_substitutions(file: &Path) -> Result<(), ConfigError> {
    let file = std::fs::read_to_string(file).map_err(|error| ConfigError(format!(".env: {error}")))?;
    for (index, line) in file.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let value = line.split_once('=').map_or("", |(_, value)| value.trim());
        let (mut quote, mut is_escaped) = (None, false);
        for c in value.chars() {
            match (quote, c) {
                _ if is_escaped => is_escaped = false,
                (None, c) if c.is_whitespace() => break,
                (None, '\'' | '"') => quote = Some(c),
                (Some(begun), c) if begun == c => quote = None,
                (Some('\''), _) => {}
                (_, '\\') => is_escaped = true,
                (_, '$') => {
                    let line = index + 1;
                    return Err(ConfigError(format!(
                        ".env, line {line}: write a value that contains $ in single quotes"
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Why the process does not start, in one line.
#[derive(Debug)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// How the database is named.
enum DatabaseSetting {
    /// By `DATABASE_URL`.
    Url(String),
    /// By the five `DB_…` variables.
    Parts,
    Missing,
}

impl DatabaseSetting {
    fn read() -> Result<Self, ConfigError> {
        if let Some(url) = variable("DATABASE_URL")? {
            return Ok(Self::Url(url));
        }
        for name in ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"] {
            if variable(name)?.is_some() {
                return Ok(Self::Parts);
            }
        }
        Ok(Self::Missing)
    }

    fn options(self) -> Result<PgConnectOptions, ConfigError> {
        if let Self::Url(url) = self {
            return PgConnectOptions::from_str(&url)
                .map_err(|error| ConfigError(format!("DATABASE_URL is not a PostgreSQL address: {error}")));
        }
        let (Some(name), Some(user)) = (variable("DB_NAME")?, variable("DB_USER")?) else {
            return Err(ConfigError(
                "DATABASE_URL is not set, and neither are DB_NAME and DB_USER; script/server brings a database".into(),
            ));
        };
        let options = PgConnectOptions::new_without_pgpass()
            .host(&variable("DB_HOST")?.unwrap_or_else(|| "127.0.0.1".into()))
            .port(parsed("DB_PORT", "5432", "a port number")?)
            .database(&name)
            .username(&user);
        Ok(match variable("DB_PASSWORD")? {
            Some(password) => options.password(&password),
            None => options,
        })
    }
}

/// An empty variable counts as unset, as compose files and shells make them.
fn variable(name: &str) -> Result<Option<String>, ConfigError> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(ConfigError(format!("{name} is not UTF-8"))),
    }
}

fn parsed<T: FromStr>(name: &str, default: &str, expected: &str) -> Result<T, ConfigError> {
    let value = variable(name)?.unwrap_or_else(|| default.into());
    value.parse().map_err(|_| ConfigError(format!("{name}={value} is not {expected}")))
}

fn in_range(name: &str, default: u64, least: u64, most: u64) -> Result<u64, ConfigError> {
    let expected = format!("a whole number from {least} to {most}");
    let value = parsed(name, &default.to_string(), &expected)?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigError(format!("{name}={value} is not {expected}")))
    }
}

/// The value by its name; the first is the default.
fn one_of<T, const N: usize>(name: &str, choices: [(&str, T); N]) -> Result<T, ConfigError> {
    let names = choices.each_ref().map(|(name, _)| *name).join(" nor ");
    let value = variable(name)?;
    let mut choices = choices.into_iter();
    let chosen = choices.find(|(name, _)| value.as_deref().is_none_or(|value| value == *name));
    let value = value.unwrap_or_default();
    chosen.map(|(_, chosen)| chosen).ok_or_else(|| ConfigError(format!("{name}={value} is neither {names}")))
}

fn origin(name: &str, value: &str) -> Result<Origin, ConfigError> {
    let expected = "an origin such as https://shop.example, without a path";
    value.parse().map_err(|()| ConfigError(format!("{name}: {value} is not {expected}")))
}

/// Refuses secrets that could be guessed.
fn long_enough(name: &'static str, least: usize) -> impl Fn(String) -> Result<String, ConfigError> {
    move |value| match value.len() >= least {
        true => Ok(value),
        false => Err(ConfigError(format!("{name} is shorter than {least} characters"))),
    }
}
