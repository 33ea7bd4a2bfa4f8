//! The build record: the inputs of an image, and the output of its smoke test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::model::Descriptor;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::paths;
use drydock_config::images::Digest;

/// The version of the record's format.
pub const FORMAT: u32 = 1;
/// The artifact type of a record in a registry.
pub const ARTIFACT_TYPE: &str = "application/vnd.drydock.build.v1+json";
/// The file name of a record in the directory of a layout.
const NAME: &str = "build.json";
/// The maximum size of a record, in bytes.
const LARGEST: u64 = 4 << 20;

/// The record of one build of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BuildRecord {
    /// The version of the format, [`FORMAT`].
    pub format: u32,
    /// The image's name.
    pub image: String,
    /// The version.
    pub version: String,
    /// The commit, all its digits.
    pub commit: String,
    /// The tag that names the version, if one does.
    pub tag: Option<RecordTag>,
    /// The commit's time, in seconds since 1970.
    pub epoch: u64,
    /// The digest of the image's index.
    pub digest: Digest,
    /// The image of each platform.
    pub platforms: BTreeMap<String, PlatformRecord>,
    /// The packages or archives in the image, sorted by name.
    pub inputs: Vec<InputFile>,
    /// The reason for publishing the image without a proof of its sources; none if they were proved, and before it is published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub without_proof: Option<String>,
    /// The tools of the build, which differ between machines that build the same image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub made_by: Option<MadeBy>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordTag {
    /// The name.
    pub name: String,
    /// The tag object, or the commit of a lightweight tag.
    pub object: String,
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlatformRecord {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The base image; none for `scratch`.
    pub base: Option<BaseRecord>,
    /// The smoke test that passed; none if the machine could not run it.
    pub smoke_test: Option<SmokeTestResult>,
}

/// A base image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseRecord {
    /// The name.
    pub name: String,
    /// The declared digest, or that of the manifest that was built.
    pub digest: Digest,
}

/// A smoke test that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmokeTestResult {
    /// The command.
    pub run: Vec<String>,
    /// The output, without surrounding white space.
    pub printed: String,
}

/// A package or archive in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// The name.
    pub name: String,
    /// The checksum.
    pub sha256: Checksum,
    /// The size in bytes.
    pub size: u64,
}

/// The tools that built an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeBy {
    /// The version of Drydock.
    pub drydock: String,
    /// `layer`, or the engine with its version.
    pub method: String,
    /// The checksum of `docker/images.yaml`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub declaration: Option<Checksum>,
}

/// A build in the state directory.
#[derive(Debug, Clone)]
pub struct StoredBuild {
    /// The build record.
    pub record: BuildRecord,
    /// The layout with the image.
    pub layout: Layout,
    /// The descriptor of the image's index.
    pub index: Descriptor,
}

/// The reason why a text cannot be read as a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The text is not JSON, or has unknown or missing fields.
    #[error("cannot parse the record: {0}")]
    Json(#[from] serde_json::Error),
    /// The record was written by another version of Drydock.
    #[error("the record has format {found}, but this Drydock reads {expected}")]
    Format {
        /// The format of the record.
        found: u32,
        /// The format that is read here.
        expected: u32,
    },
    /// An artifact has no files.
    #[error("the record is empty")]
    Empty,
}

impl InputFile {
    /// Hashes a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn from_path(file: &Path) -> anyhow::Result<InputFile> {
        let (sha256, size) = Checksum::from_file(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(InputFile { name: file.file_name().unwrap_or_default().to_string_lossy().into_owned(), sha256, size })
    }
}

/// The input files of a build, as they were before it.
#[derive(Debug)]
pub struct Inputs(Vec<(PathBuf, InputFile)>);

impl Inputs {
    /// Hashes files that will be read.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> anyhow::Result<Inputs> {
        let hashed = files.into_iter().map(|file| InputFile::from_path(&file).map(|input| (file, input)));
        Ok(Inputs(hashed.collect::<anyhow::Result<_>>()?))
    }

    /// Returns what was read, if the files are still the same.
    ///
    /// # Errors
    /// A file has changed, so that nobody knows which content was read; or it cannot be read.
    pub fn unchanged(self) -> anyhow::Result<Vec<InputFile>> {
        let check = |(file, before): (PathBuf, InputFile)| {
            if InputFile::from_path(&file)? == before {
                return Ok(before);
            }
            let text = format!("{} changed while the image was built; build it again", file.display());
            Err(Failure::not_reproducible(text))
        };
        self.0.into_iter().map(check).collect()
    }
}

impl BuildRecord {
    /// Returns the path of an image's record. It is in the directory of the layout, so that both are replaced in one step.
    pub fn path(directory: &Path, image: &str) -> PathBuf {
        directory.join(image).join(NAME)
    }

    /// Removes the fields that differ between machines.
    #[must_use]
    pub fn without_machine(self) -> BuildRecord {
        BuildRecord { made_by: None, ..self }
    }

    /// Formats the record as in its file.
    ///
    /// # Errors
    /// None in practice.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// Parses a record.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn parse(text: &str) -> Result<BuildRecord, RecordError> {
        let record: BuildRecord = serde_json::from_str(text)?;
        match record.format {
            FORMAT => Ok(record),
            found => Err(RecordError::Format { found, expected: FORMAT }),
        }
    }

    /// Loads the build of an image below `directory`.
    ///
    /// # Errors
    /// The image was not built, or its build is incomplete; the error names the command that builds it.
    pub fn load(directory: &Path, image: &str) -> anyhow::Result<StoredBuild> {
        let path = BuildRecord::path(directory, image);
        let again = |why: String| {
            let build = hint::drydock(&["docker", "build", image]);
            Failure::usage(format!("{}: {why}; build it with `{build}`", path.display()))
        };
        let size = fs::metadata(&path).map_err(|error| again(drydock_base::exec::plain(&error)))?.len();
        if size > LARGEST {
            return Err(again("the file is too large for a build record".into()));
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let record = BuildRecord::parse(&text).map_err(|error| again(error.to_string()))?;
        let layout = Layout::open(&directory.join(image))?;
        let index = layout.index()?;
        match index.manifests.as_slice() {
            [index] if index.digest == record.digest => Ok(StoredBuild { index: index.clone(), record, layout }),
            _ => Err(again("the record is about another image than the layout has".into())),
        }
    }

    /// Writes the record into the directory of a layout.
    ///
    /// # Errors
    /// The disk is full.
    pub fn save(&self, layout: &Layout) -> anyhow::Result<()> {
        paths::write_atomically(&layout.directory().join(NAME), self.text()?.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> BuildRecord {
        let digest = Digest::for_bytes(b"index");
        let platform = PlatformRecord { digest, base: None, smoke_test: None };
        BuildRecord {
            format: FORMAT,
            image: "mine".into(),
            version: "1.0".into(),
            commit: "c0".into(),
            tag: None,
            epoch: 1,
            digest,
            platforms: BTreeMap::from([("linux/amd64".to_owned(), platform)]),
            inputs: Vec::new(),
            without_proof: None,
            made_by: Some(MadeBy { drydock: "0".into(), method: "layer".into(), declaration: None }),
        }
    }

    #[test]
    fn inputs_that_change_during_a_build_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let inputs = || {
            ["a.deb", "b.tar.gz"].iter().for_each(|name| fs::write(at(name), name).unwrap());
            Inputs::new([at("a.deb"), at("b.tar.gz")]).unwrap()
        };
        let same = inputs().unchanged().unwrap();
        assert_eq!(
            same.iter().map(|one| (one.name.as_str(), one.size)).collect::<Vec<_>>(),
            [("a.deb", 5), ("b.tar.gz", 8)]
        );
        let changes: [fn(&Path); 3] = [
            |file| fs::write(file, "B.tar.gz").unwrap(),
            |file| {
                fs::write(file.with_extension("new"), "another").unwrap();
                fs::rename(file.with_extension("new"), file).unwrap();
            },
            |file| fs::remove_file(file).unwrap(),
        ];
        for change in changes {
            let before = inputs();
            change(&at("b.tar.gz"));
            let error = format!("{:#}", before.unchanged().unwrap_err());
            assert!(error.contains("b.tar.gz"), "{error}");
        }
    }

    #[test]
    fn a_record_must_match_its_layout() {
        let directory = tempfile::tempdir().unwrap();
        let load = || BuildRecord::load(directory.path(), "mine").map_err(|error| error.to_string());
        assert!(load().unwrap_err().contains("`cargo xtask docker build mine`"));
        let layout = Layout::create(&directory.path().join("mine")).unwrap();
        let index = layout.put("x", b"index").unwrap();
        layout.set_index(vec![index.clone()]).unwrap();
        record().save(&layout).unwrap();
        let build = load().unwrap();
        assert_eq!((build.record, build.index), (record(), index));
        layout.set_index(vec![layout.put("x", b"other").unwrap()]).unwrap();
        assert!(load().unwrap_err().contains("about another image"));
    }

    #[test]
    fn unknown_formats_and_fields_are_refused() {
        let text = record().without_machine().text().unwrap();
        assert!(!text.contains("made-by"));
        assert!(
            BuildRecord::parse(&text.replace("\"format\": 1", "\"format\": 2"))
                .unwrap_err()
                .to_string()
                .contains("format 2")
        );
        assert!(BuildRecord::parse(&text.replace("\"epoch\"", "\"era\"")).unwrap_err().to_string().contains("era"));
    }
}
