"""HTTP connections with bounds, for programs in images that uvicorn serves."""
