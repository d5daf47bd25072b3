"""How requests arrive and how they are shown. Imports `approvals`, never the other way round."""
