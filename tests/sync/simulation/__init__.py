"""A school in memory: tablets, boxes, couriers and a hub that run the real rules, and everything goes wrong."""
