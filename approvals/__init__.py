"""The domain of Placet and its state. Knows no chat platform, no web framework, no scheduler."""
