"""A server that speaks the hub's download API and gives only cleared models.

Zone: controller. `app` puts the parts together; `service` decides what a name is answered with; `hub_api` speaks the
hub's routes; `page` is for people. What a hub, a client or a room says is hostile text: names are parsed once
(`address`), and what is shown or sent in a header is escaped. Only `workers` starts processes, and a model is opened
only in the rooms that these have.
"""
