"""Why a plan is as it is: the conflicts, the rules that are missing, the proof. Rendering belongs to `report`."""
