"""The registry's peer: FastAPI and SQLAlchemy on the registry's own database.

It has only what the benchmark asks for: get, list, create, dependents. Run with uvicorn:
`uvicorn --factory registry_peer.app:create_app`, with the database's URL in `DATABASE_URL`.
"""
