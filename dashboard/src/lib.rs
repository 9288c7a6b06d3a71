//! The words of a build farm: typed farm.toml, the JSON records its programs exchange, builder keys
