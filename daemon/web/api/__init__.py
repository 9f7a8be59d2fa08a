"""The API's routes: one file per kind of thing, each route with the roles that may use it."""
