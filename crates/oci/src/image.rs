//! One image of one platform: its base, the layers on it, and a configuration made of the base's.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::layout::Layout;
use super::model::{Descriptor, Manifest, media};
use drydock_config::images::{Digest, Image, Platform, Runtime};
use drydock_config::release::Version;

/// What an image says about itself.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// What is declared.
    pub image: &'a Image,
    /// The version.
    pub version: &'a Version,
    /// The commit, all digits.
    pub commit: &'a str,
    /// The commit's time, in seconds since 1970.
    pub epoch: u64,
    /// The platform.
    pub platform: Platform,
    /// The base's name and digest; none of `scratch`.
    pub base: Option<(String, Digest)>,
}

/// A layer that was made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The compressed layer.
    pub descriptor: Descriptor,
    /// The digest of its tar stream.
    pub diff_id: Digest,
}

/// A time as configurations have it (RFC 3339).
///
/// # Errors
/// It is beyond the year 9999.
pub fn moment(epoch: u64) -> anyhow::Result<String> {
    Ok(jiff::Timestamp::from_second(i64::try_from(epoch)?)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The platform of a configuration, in Go's words.
pub fn platform_of(config: &Value) -> String {
    let word = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or("?");
    let variant = config.get("variant").and_then(Value::as_str).map(|variant| format!("/{variant}"));
    format!("{}/{}{}", word("os"), word("architecture"), variant.unwrap_or_default())
}

/// A configuration without layers, for an image that stands on nothing.
pub fn from_scratch(platform: Platform) -> Value {
    let mut config = json!({
        "architecture": platform.architecture(),
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    if let Some(variant) = platform.variant() {
        config["variant"] = variant.into();
    }
    config
}

/// The lists of what an image's layers are, in its configuration: they have to agree with its manifest.
///
/// # Errors
/// They are missing, or no digests.
pub fn diff_ids(config: &Value) -> anyhow::Result<Vec<Digest>> {
    let list = config.pointer("/rootfs/diff_ids").context("the configuration has no list of layers")?;
    serde_json::from_value(list.clone()).context("the configuration has a list of layers that are no digests")
}

/// Adds a step to a configuration's history, with or without a layer. Layers of which no step tells get one, as each step
/// with a layer is taken for that of the next layer.
///
/// # Errors
/// The time is none.
pub fn add_step(config: &mut Value, epoch: u64, created_by: &str, layer: Option<&Digest>) -> anyhow::Result<()> {
    let mut step = json!({"created": moment(epoch)?, "created_by": created_by, "comment": "drydock"});
    let layers = diff_ids(config)?.len();
    let history = array(config.as_object_mut().context("the configuration is no object")?, "history");
    let is_empty = |step: &Value| step.get("empty_layer").and_then(Value::as_bool).unwrap_or(false);
    let told = history.iter().filter(|step| !is_empty(step)).count();
    history.extend((told..layers).map(|_| json!({"created_by": "base"})));
    match layer {
        None => step["empty_layer"] = true.into(),
        Some(diff_id) => array(object(config, "rootfs")?, "diff_ids").push(diff_id.to_string().into()),
    }
    array(config.as_object_mut().context("the configuration is no object")?, "history").push(step);
    Ok(())
}

/// Puts what is declared into a configuration that has all layers, and writes it with its manifest. `layers` are all of
/// the image, the lowest first; their blobs are in the layout.
///
/// # Errors
/// The configuration is none, or the disk is full.
pub fn write(
    layout: &Layout,
    mut config: Value,
    layers: &[Descriptor],
    about: &About<'_>,
) -> anyhow::Result<Descriptor> {
    let count = diff_ids(&config)?.len();
    anyhow::ensure!(
        count == layers.len(),
        "the configuration lists {count} layers, and the image has {}",
        layers.len()
    );
    let top = config.as_object_mut().context("the configuration is no object")?;
    // What engines note about the machine that they build on.
    for field in
        ["container", "container_config", "docker_version", "author", "id", "parent", "moby.buildkit.buildinfo.v1"]
    {
        top.remove(field);
    }
    top.insert("created".into(), moment(about.epoch)?.into());
    let run = object(&mut config, "config")?;
    for field in ["Hostname", "Domainname", "Image", "ArgsEscaped"] {
        run.remove(field);
    }
    runtime(run, &about.image.runtime);
    labels(run, about)?;

    let config = layout.put(media::CONFIG, &serde_json::to_vec(&config)?)?;
    let plain = |layer: &Descriptor| {
        let media_type =
            if layer.media_type == media::DOCKER_LAYER_GZIP { media::LAYER_GZIP } else { &layer.media_type };
        Descriptor::new(media_type, layer.digest, layer.size)
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::MANIFEST.to_owned()),
        artifact_type: None,
        config,
        layers: layers.iter().map(plain).collect(),
        subject: None,
        annotations: BTreeMap::new(),
    };
    let manifest = layout.put(media::MANIFEST, &serde_json::to_vec(&manifest)?)?;
    Ok(Descriptor { platform: Some(about.platform.into()), ..manifest })
}

fn runtime(run: &mut Map<String, Value>, declared: &Runtime) {
    let Runtime { entrypoint, command, user, directory, env, ports, volumes } = declared;
    if let Some(entrypoint) = entrypoint {
        run.insert("Entrypoint".into(), json!(entrypoint));
        // The base's arguments are for the base's program.
        if command.is_none() {
            run.remove("Cmd");
        }
    }
    for (field, value) in [
        ("Cmd", command.as_ref().map(|words| json!(words))),
        ("User", user.as_ref().map(|text| json!(text))),
        ("WorkingDir", directory.as_ref().map(|text| json!(text))),
    ] {
        if let Some(value) = value {
            run.insert(field.into(), value);
        }
    }
    if !env.is_empty() {
        let list = array(run, "Env");
        for (name, value) in env {
            let start = format!("{name}=");
            let entry = Value::from(format!("{start}{value}"));
            match list.iter_mut().find(|one| one.as_str().is_some_and(|one| one.starts_with(&start))) {
                Some(old) => *old = entry,
                None => list.push(entry),
            }
        }
    }
    for (field, names) in [("ExposedPorts", ports), ("Volumes", volumes)] {
        if !names.is_empty() {
            let set = map(run, field);
            set.extend(names.iter().map(|name| (name.clone(), json!({}))));
        }
    }
}

fn labels(run: &mut Map<String, Value>, about: &About<'_>) -> anyhow::Result<()> {
    let created = moment(about.epoch)?;
    let labels = map(run, "Labels");
    for (name, value) in &about.image.labels {
        labels.insert(name.clone(), value.render(about.version).into());
    }
    let own = [
        ("version", Some(about.version.to_string())),
        ("revision", Some(about.commit.to_owned())),
        ("created", Some(created)),
        ("title", Some(about.image.name.to_string())),
        ("base.name", about.base.as_ref().map(|(name, _)| name.clone())),
        ("base.digest", about.base.as_ref().map(|(_, digest)| digest.to_string())),
    ];
    for (name, value) in own {
        let name = format!("org.opencontainers.image.{name}");
        match value {
            Some(value) => drop(labels.insert(name, value.into())),
            // The base's own base is not ours.
            None => drop(labels.remove(&name)),
        }
    }
    Ok(())
}

/// The object in a field, made when there is none; `null` is none in Go's words.
fn object<'a>(value: &'a mut Value, field: &str) -> anyhow::Result<&'a mut Map<String, Value>> {
    let top = value.as_object_mut().context("the configuration is no object")?;
    Ok(map(top, field))
}

fn map<'a>(top: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = top.entry(field).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => unreachable_map(),
    }
}

fn array<'a>(top: &'a mut Map<String, Value>, field: &str) -> &'a mut Vec<Value> {
    let value = top.entry(field).or_insert_with(|| json!([]));
    if !value.is_array() {
        *value = json!([]);
    }
    match value {
        Value::Array(array) => array,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => unreachable_map(),
    }
}

fn unreachable_map() -> ! {
    unreachable!("it was made one a line above")
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::images::Images;

    const DECLARED: &str = "\
repositories: {nightly: registry.example/n, release: registry.example/r}
images:
  mine:
    base: {image: debian, digest: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}
    from: {debs: [mine]}
    entrypoint: [mine, --daemon]
    env: {PATH: /mine/bin, MORE: '1'}
    ports: [80/tcp]
    labels: {example.of: 'v{version}'}
    smoke-test: {run: [mine]}
";

    #[test]
    fn the_configuration_of_the_base_is_changed_in_place() {
        let images = Images::parse(DECLARED, std::path::Path::new("x")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let mut config = json!({
            "architecture": "amd64", "os": "linux", "created": "2031-01-01T00:00:00Z", "container": "abc",
            "novelty": {"kept": true},
            "config": {
                "Env": ["PATH=/bin", "OLD=1"], "Cmd": ["sh"], "ExposedPorts": null, "Hostname": "h",
                "Labels": {"org.opencontainers.image.version": "base", "theirs": "2"},
            },
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let layer = layout.put(media::DOCKER_LAYER_GZIP, b"layer").unwrap();
        add_step(&mut config, 60, "packages", Some(&layer.digest)).unwrap();
        let version = "1.0".parse().unwrap();
        let base = Some(("debian".to_owned(), Digest::of(b"")));
        let about = About {
            image: &images.images[0],
            version: &version,
            commit: "c0",
            epoch: 60,
            platform: Platform::Amd64,
            base,
        };
        let written = write(&layout, config.clone(), &[layer], &about).unwrap();
        let manifest: Manifest = serde_json::from_slice(&layout.read(&written).unwrap()).unwrap();
        assert_eq!(manifest.layers[0].media_type, media::LAYER_GZIP);
        let config: Value = serde_json::from_slice(&layout.read(&manifest.config).unwrap()).unwrap();
        insta::assert_snapshot!(config, @r#"{"architecture":"amd64","config":{"Entrypoint":["mine","--daemon"],"Env":["PATH=/mine/bin","OLD=1","MORE=1"],"ExposedPorts":{"80/tcp":{}},"Labels":{"example.of":"v1.0","org.opencontainers.image.base.digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","org.opencontainers.image.base.name":"debian","org.opencontainers.image.created":"1970-01-01T00:01:00Z","org.opencontainers.image.revision":"c0","org.opencontainers.image.title":"mine","org.opencontainers.image.version":"1.0","theirs":"2"}},"created":"1970-01-01T00:01:00Z","history":[{"comment":"drydock","created":"1970-01-01T00:01:00Z","created_by":"packages"}],"novelty":{"kept":true},"os":"linux","rootfs":{"diff_ids":["sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85"],"type":"layers"}}"#);
    }

    #[test]
    fn each_layer_has_a_step() {
        let layer = Digest::of(b"layer");
        let steps = |history: Value| {
            let mut config = json!({"rootfs": {"diff_ids": [Digest::of(b"1"), Digest::of(b"2")]}, "history": history});
            add_step(&mut config, 60, "mine", Some(&layer)).unwrap();
            let all = config["history"].as_array().unwrap().clone();
            all.iter().map(|step| step["created_by"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(steps(Value::Null), ["base", "base", "mine"]);
        let (full, empty) = (json!({"created_by": "a"}), json!({"created_by": "b", "empty_layer": true}));
        assert_eq!(steps(json!([full, empty])), ["a", "b", "base", "mine"]);
        assert_eq!(steps(json!([full, empty, full])), ["a", "b", "a", "mine"]);
    }

    #[test]
    fn layers_and_their_list_agree() {
        let images = Images::parse(DECLARED, std::path::Path::new("x")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let version = "1.0".parse().unwrap();
        let about = About {
            image: &images.images[0],
            version: &version,
            commit: "c0",
            epoch: 60,
            platform: Platform::Amd64,
            base: None,
        };
        let layer = layout.put(media::LAYER, b"layer").unwrap();
        let found = write(&layout, from_scratch(Platform::Amd64), &[layer], &about).unwrap_err().to_string();
        assert_eq!(found, "the configuration lists 0 layers, and the image has 1");
        assert!(write(&layout, json!({}), &[], &about).is_err());
    }
}
