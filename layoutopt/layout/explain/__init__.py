"""The reasons for a plan: the conflicts, the rules that are missing, the proof. Rendering belongs to `report`."""
