{{ visitor_features_until(as_of_date()) }}
