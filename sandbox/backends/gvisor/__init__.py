"""gVisor's own trace of a room, heard beside the supervisor's record. Zone: controller."""
