"""What `./dev` is made of: one small module for each thing that it looks after."""
