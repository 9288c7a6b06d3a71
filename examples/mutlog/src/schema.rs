//! Mutations as text and JSON, by the schema itself: also fields this program knows nothing of.

use std::path::Path;

use anyhow::Context;
use prost_reflect::{DynamicMessage, MessageDescriptor, text_format::FormatOptions};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

const NAME: &str = "maintpb.proto";

/// Prints mutations.
#[derive(Debug)]
pub(crate) struct Printer {
    mutation: MessageDescriptor,
    options: FormatOptions,
}

struct Ours;

impl FileResolver for Ours {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == NAME {
            File::from_source(name, maintner::proto::SCHEMA)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

impl Printer {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut files = ChainFileResolver::new();
        files.add(Ours);
        files.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(files);
        compiler.include_imports(true).open_file(Path::new(NAME))?;
        let pool = compiler.descriptor_pool();
        let mutation = pool.get_message_by_name("maintpb.Mutation");
        Ok(Self {
            mutation: mutation.context("the schema has no Mutation")?,
            options: FormatOptions::new().pretty(true).skip_unknown_fields(false),
        })
    }

    fn decode(&self, payload: &[u8]) -> anyhow::Result<DynamicMessage> {
        Ok(DynamicMessage::decode(self.mutation.clone(), payload)?)
    }

    /// As protobuf's text format has it, many lines.
    pub(crate) fn text(&self, payload: &[u8]) -> anyhow::Result<String> {
        let message = self.decode(payload)?;
        Ok(message.to_text_format_with_options(&self.options))
    }

    /// As protobuf's JSON has it; bytes are base64.
    pub(crate) fn json(&self, payload: &[u8]) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::to_value(self.decode(payload)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_nobody_knows_are_shown_too() {
        // The second golden vector, then field 1000 with value 7.
        let issue = b"\x0a\x1a\x0a\x06golang\x12\x02go\x18\x03\x9a\x01\x00\xba\x01\x03\x01\xac\x02\xfa\x01\x00";
        let mut payload = issue.to_vec();
        payload.extend(b"\xc0\x3e\x07");
        let printer = Printer::new().unwrap();
        let text = printer.text(&payload).unwrap();
        assert!(text.contains("owner: \"golang\""), "{text}");
        assert!(text.contains("1000: 7"), "{text}");
        let json = printer.json(&payload).unwrap();
        assert_eq!(json["githubIssue"]["number"], 3);
        assert_eq!(json["githubIssue"]["removeLabel"][1], "300");
    }
}
