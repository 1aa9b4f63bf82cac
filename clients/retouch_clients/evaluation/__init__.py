"""`retouch evaluate`: public benchmarks of image editing, run through a server and judged."""
