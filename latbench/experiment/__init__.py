"""The main job from one TOML file: measure, fit, search, verify, report; resumable by stage."""
